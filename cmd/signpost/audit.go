package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/spf13/cobra"

	"signpost/internal/service"
)

func (p *program) audit() *cobra.Command {
	c := &cobra.Command{
		Use: "audit", Short: "Search and follow the audit record",
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }, // runs, so that cobra refuses a word it does not know
	}
	c.AddCommand(p.auditSearch(), p.auditTail())
	for _, sub := range c.Commands() {
		exactArgs(sub)
	}
	return c
}

// membersHelp says what --json prints. The names are a promise to programs.
const membersHelp = `With --json each event is an object on a line of its own, with these members, of which
empty ones are left out:

  id            number that grows with every event
  at            when it happened (RFC 3339)
  kind          sign-in, sign-in-refused, consent, token, grant-ended, applied, ...
  outcome       allowed or refused
  rule          the rule that decided; of a token, after the way in which it was asked for
  tenant
  account_id    stable id of the person's account: "sub" in tokens
  client_id     id of the program
  grant_id      id of the sign-in
  service       audience of the service
  asked         scope that was asked for
  scope         scope that was given
  subject_hash  SHA-256 of the token that was exchanged, without its signature
  request_id    stands also in the log, in the answer's header X-Request-Id, and on the
                page of an error`

func (p *program) auditSearch() *cobra.Command {
	c := &cobra.Command{
		Use:   "search",
		Short: "Find events in the audit record",
		Long: `Search finds who signed in, which tokens were made or refused and by which rule, and what
administrators did. It shows the newest events first, those that have everything that the
flags say. It changes nothing, and runs beside a running service.

Account and request are found quickly in a record of any length; give --since for all else.

` + membersHelp,
		Example: `  signpost audit search --account alice@example.com --since 24h
  signpost audit search --request-id 4f9a0c2e --json
  signpost audit search --kind token --outcome refused --rule exchange/ --since 2026-03-14T00:00:00Z --limit 0`,
	}
	load := p.settings(c, "data_dir", "database_url_file", "secret_key_file")
	query := auditFilters(c)
	until := c.Flags().String("until", "", "only events before this: as for --since")
	limit := c.Flags().Int("limit", 100, "how many events at most; 0 is all")
	oldest := c.Flags().Bool("oldest-first", false, "show the oldest event first")
	asJSON := c.Flags().Bool("json", false, "print JSON for programs, an object a line")
	c.RunE = func(c *cobra.Command, _ []string) error {
		now := time.Now()
		q, err := query(now)
		if err != nil {
			return err
		}
		if q.Until, err = parseMoment("--until", *until, now); err != nil {
			return err
		}
		if *limit < 0 {
			return usage{withHint(fmt.Errorf("--limit %d is less than nothing", *limit), "0 is all")}
		}
		q.Limit, q.Newest = *limit, !*oldest
		config, err := load()
		if err != nil {
			return err
		}
		show := p.eventPrinter(*asJSON)
		return auditHint(service.SearchAudit(c.Context(), config, q, show))
	}
	return c
}

func (p *program) auditTail() *cobra.Command {
	c := &cobra.Command{
		Use:   "tail",
		Short: "Show the end of the audit record, and what is added to it",
		Long: `Tail shows the newest events, the oldest of them first. With --follow it goes on and
shows each event within a second after it was recorded, until it is interrupted. It changes
nothing, and runs beside a running service.

` + membersHelp,
		Example: `  signpost audit tail --follow --tenant example --outcome refused
  signpost audit tail -n 0 --follow --json`,
	}
	load := p.settings(c, "data_dir", "database_url_file", "secret_key_file")
	query := auditFilters(c)
	last := c.Flags().IntP("lines", "n", 10, "how many of the newest events to show")
	follow := c.Flags().BoolP("follow", "f", false, "go on with what is added, until interrupted")
	asJSON := c.Flags().Bool("json", false, "print JSON for programs, an object a line")
	c.RunE = func(c *cobra.Command, _ []string) error {
		q, err := query(time.Now())
		if err != nil {
			return err
		}
		const most = 100_000
		if *last < 0 || *last > most {
			return usage{withHint(fmt.Errorf("-n %d is not between 0 and %d", *last, most), "\"signpost audit search\" shows more")}
		}
		config, err := load()
		if err != nil {
			return err
		}
		show := p.eventPrinter(*asJSON)
		return auditHint(service.TailAudit(c.Context(), config, q, *last, *follow, show))
	}
	return c
}

// auditFilters adds the flags that pick out events, and returns how to read them.
func auditFilters(c *cobra.Command) func(now time.Time) (service.AuditQuery, error) {
	var q service.AuditQuery
	var since string
	for _, f := range []struct {
		value       *string
		name, usage string
	}{
		{&q.Tenant, "tenant", "only events of this tenant"},
		{&q.Account, "account", "only events of the person with this account id or address"},
		{&q.Client, "client", "only events of the program with this id"},
		{&q.Grant, "grant", "only events of the sign-in with this id"},
		{&q.Service, "service", "only events of the service with this audience"},
		{&q.Kind, "kind", "only events of this kind: sign-in, token, grant-ended, ..."},
		{&q.Outcome, "outcome", "only what was \"allowed\", or only what was \"refused\""},
		{&q.Rule, "rule", "only events whose rule begins like this: exchange/"},
		{&q.RequestID, "request-id", "only events of the request with this id"},
		{&q.SubjectHash, "subject-hash", "only exchanges of the token with this hash"},
		{&since, "since", "only events of this last time (2h, 30m), or from a moment on (RFC 3339: 2026-03-14T09:26:53Z)"},
	} {
		c.Flags().StringVar(f.value, f.name, "", f.usage)
	}
	return func(now time.Time) (service.AuditQuery, error) {
		if q.Outcome != "" && q.Outcome != "allowed" && q.Outcome != "refused" {
			return q, usage{withHint(fmt.Errorf("--outcome %q is no outcome", q.Outcome), "an event is allowed or refused")}
		}
		var err error
		q.Since, err = parseMoment("--since", since, now)
		return q, err
	}
}

// parseMoment reads a moment, or how long it was ago. Nothing is the zero time.
func parseMoment(flag, value string, now time.Time) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(value); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}, usage{withHint(fmt.Errorf("%s %q is neither a length of time nor a moment", flag, value),
			"write 2h for two hours ago, or 2026-03-14T09:26:53Z")}
	}
	return at, nil
}

// auditHint adds what to do to an error.
func auditHint(err error) error {
	switch {
	case errors.Is(err, service.ErrNoAccount):
		return withHint(err, "whoever has never signed in has no account; an account that has given up the address is found by its id")
	case errors.Is(err, service.ErrWhichTenant):
		return usage{withHint(err, "say with --tenant whose address it is")}
	case errors.Is(err, service.ErrNoTenant):
		return withHint(err, "an address belongs to a declared tenant; the events of one that is gone are found with --tenant and --account with an id")
	}
	return err
}

// eventPrinter returns what prints events, one a line: as JSON, or for people.
func (p *program) eventPrinter(asJSON bool) func(service.AuditEvent) error {
	if asJSON {
		return func(e service.AuditEvent) error { return printEventJSON(p.stdout, eventOf(e)) }
	}
	headed := false
	return func(e service.AuditEvent) error {
		if !headed {
			headed = true
			if err := printEventLine(p.stdout, "TIME", "OUTCOME", "KIND", "RULE", "TENANT", "ACCOUNT", "PROGRAM", "SERVICE", "REQUEST"); err != nil {
				return err
			}
		}
		return printEventLine(p.stdout, moment(e.At), e.Outcome, e.Kind, e.Rule, e.Tenant, e.Account, shortened(e.Client), e.Service, e.RequestID)
	}
}

// event is an event as programs read it.
type event struct {
	ID          int64     `json:"id"`
	At          time.Time `json:"at"`
	Kind        string    `json:"kind"`
	Outcome     string    `json:"outcome,omitempty"`
	Rule        string    `json:"rule,omitempty"`
	Tenant      string    `json:"tenant,omitempty"`
	Account     string    `json:"account_id,omitempty"`
	Client      string    `json:"client_id,omitempty"`
	Grant       string    `json:"grant_id,omitempty"`
	Service     string    `json:"service,omitempty"`
	Asked       string    `json:"asked,omitempty"`
	Scope       string    `json:"scope,omitempty"`
	SubjectHash string    `json:"subject_hash,omitempty"`
	RequestID   string    `json:"request_id,omitempty"`
}

func eventOf(e service.AuditEvent) event {
	return event{
		ID: e.ID, At: e.At, Kind: e.Kind, Outcome: e.Outcome, Rule: e.Rule, Tenant: e.Tenant, Account: e.Account, Client: e.Client,
		Grant: e.Grant, Service: e.Service, Asked: e.Asked, Scope: e.Scope, SubjectHash: e.SubjectHash, RequestID: e.RequestID,
	}
}

// printEventJSON prints an event as a line of JSON. Some of it strangers have sent, and who looks at
// it in a terminal must see what is there: what is not to be seen is escaped.
func printEventJSON(w io.Writer, e event) error {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, escaped(strings.TrimSuffix(line.String(), "\n")))
	return err
}

// escaped writes the characters of a JSON text that are not to be seen as JSON's own escapes. They
// stand in strings alone.
func escaped(text string) string {
	var b strings.Builder
	for _, c := range text {
		switch high, low := utf16.EncodeRune(c); {
		case unicode.IsPrint(c):
			b.WriteRune(c)
		case c > 0xffff:
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, c)
		}
	}
	return b.String()
}

// printEventLine prints what belongs together below each other, line by line: nobody knows
// what comes next when the record is followed. Some of it strangers have sent, and a
// terminal acts on some characters.
func printEventLine(w io.Writer, fields ...string) error {
	widths := []int{20, 8, 15, 24, 12, 22, 16, 24, 0}
	var line strings.Builder
	for i, field := range fields {
		field = strings.Map(printable, field)
		if field == "" {
			field = "-"
		}
		fmt.Fprintf(&line, "%-*s  ", widths[i], field)
	}
	_, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	return err
}

// printable puts a mark in the place of what is not to be seen.
func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}
