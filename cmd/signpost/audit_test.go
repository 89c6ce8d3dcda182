package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"signpost/internal/service"
)

// wholeEvent returns an event with every member.
func wholeEvent() service.AuditEvent {
	var e service.AuditEvent
	e.ID, e.At = 7, time.Date(2026, 11, 23, 12, 0, 0, 5_000_000, time.UTC)
	e.Kind, e.Outcome, e.Rule, e.Tenant = "token", "allowed", "exchange/narrow", "example"
	e.Account, e.Client, e.Grant, e.Service = "an account", "a <client> & more", "a grant", "imap.example.test"
	e.Asked, e.Scope, e.SubjectHash, e.RequestID = "mail calendars", "mail", "cafe", "a request"
	return e
}

// The names of the members are a promise: programs read them.
func TestEventsAreJSONLinesForPrograms(t *testing.T) {
	t.Parallel()
	var bare service.AuditEvent
	bare.ID, bare.At, bare.Kind = 8, time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), "applied"
	var b bytes.Buffer
	show := (&program{stdout: &b}).eventPrinter(true)
	for _, e := range []service.AuditEvent{wholeEvent(), bare} {
		if err := show(e); err != nil {
			t.Fatal(err)
		}
	}
	const want = `{"id":7,"at":"2026-11-23T12:00:00.005Z","kind":"token","outcome":"allowed","rule":"exchange/narrow","tenant":"example",` +
		`"account_id":"an account","client_id":"a <client> & more","grant_id":"a grant","service":"imap.example.test",` +
		`"asked":"mail calendars","scope":"mail","subject_hash":"cafe","request_id":"a request"}` + "\n" +
		`{"id":8,"at":"2026-11-23T12:00:00Z","kind":"applied"}` + "\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	var members map[string]any
	if err := json.Unmarshal([]byte(strings.SplitAfter(want, "\n")[0]), &members); err != nil {
		t.Fatal(err)
	}
	for name := range members {
		if !strings.Contains(membersHelp, "\n  "+name) {
			t.Errorf("the help does not say what %q is", name)
		}
	}
}

// What a terminal would act on, or not show, is there to be read, and is the same for programs.
func TestEventsAsJSONAreSafeForTerminals(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	e := wholeEvent()
	e.Client = "x\u009b2J\x7f\u202eevil\nline\x1b[2J\r\u200b\u00a0\U000e0041 \"ä\" 日本 😀 <\\u0041>"
	if err := (&program{stdout: &b}).eventPrinter(true)(e); err != nil {
		t.Fatal(err)
	}
	line, found := strings.CutSuffix(b.String(), "\n")
	const want = `"client_id":"x\u009b2J\u007f\u202eevil\nline\u001b[2J\r\u200b\u00a0\udb40\udc41 \"ä\" 日本 😀 <\\u0041>"`
	if !found || !strings.Contains(line, want) || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("got %q, want %q in it, on one line", b.String(), want)
	}
	var read event
	if err := json.Unmarshal(b.Bytes(), &read); err != nil || read.Client != e.Client {
		t.Errorf("a program reads %q, %v, want %q", read.Client, err, e.Client)
	}
}

// What a stranger sent must not move the cursor of who looks at it.
func TestEventsAreATableForPeople(t *testing.T) {
	t.Parallel()
	strange := wholeEvent()
	strange.Client, strange.RequestID = "r."+strings.Repeat("x", 300), "\x1b[2Jgone\nTIME"
	var b bytes.Buffer
	show := (&program{stdout: &b}).eventPrinter(false)
	for _, e := range []service.AuditEvent{wholeEvent(), strange} {
		if err := show(e); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "TIME ") || strings.Contains(b.String(), "\x1b") || strings.Contains(b.String(), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx") {
		t.Fatalf("got\n%q\nwant a heading and a line for each event", b.String())
	}
	for _, want := range []string{"2026-11-23T12:00:00Z", "allowed", "token", "exchange/narrow", "example", "an account", "imap.example.test", "a request"} {
		if !strings.Contains(lines[1], want) {
			t.Errorf("%q lacks %q", lines[1], want)
		}
	}
}

func TestParseMoment(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Time{
		"": {}, "2h": now.Add(-2 * time.Hour), "0s": now, "1h30m": now.Add(-90 * time.Minute),
		"2026-11-23T12:00:00+01:00": now.Add(-time.Hour), "2026-11-23T12:00:00.5Z": now.Add(500 * time.Millisecond),
	} {
		if got, err := parseMoment("--since", value, now); err != nil || !got.Equal(want) {
			t.Errorf("parseMoment(%q) = %v, %v, want %v", value, got, err, want)
		}
	}
	for _, value := range []string{"-2h", "2", "2d", "yesterday", "2026-11-23", "2026-11-23T12:00:00", " "} {
		if got, err := parseMoment("--since", value, now); err == nil {
			t.Errorf("parseMoment(%q) = %v, want an error", value, got)
		}
	}
}

// Whoever follows is told of what another process does, and leaves with status 0.
func TestAuditTailFollowsUntilInterrupted(t *testing.T) {
	t.Parallel()
	env := []string{"SIGNPOST_DATA_DIR=" + filepath.Join(t.TempDir(), "data"), "SIGNPOST_BASE_URL=https://id.example.test"}
	command := func(ctx context.Context, stdin io.Reader, stdout io.Writer, args ...string) int {
		var stderr bytes.Buffer
		code := run(ctx, args, env, stdin, stdout, &stderr)
		if stderr.Len() > 0 {
			t.Errorf("signpost %s says %q, want nothing", strings.Join(args, " "), stderr.String())
		}
		return code
	}
	apply := func(tenant string) {
		t.Helper()
		declared := strings.ReplaceAll(`
tenants:
  - name: NAME
    issuer: path
    title: An Organisation
    domains: [NAME.test]
    identity_providers:
      - {name: staff, title: Staff, issuer: "https://login.NAME.test", client_id: signpost}
    services:
      - {id: imap, protocol: imap, title: Mail, endpoints: [{host: imap.NAME.test, port: 993, security: tls}]}
`, "NAME", tenant)
		if code := command(t.Context(), strings.NewReader(declared), io.Discard, "apply", "-f", "-"); code != 0 {
			t.Fatalf("signpost apply ended with status %d", code)
		}
	}
	apply("example")

	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out, in := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- command(ctx, strings.NewReader(""), in, "audit", "tail", "-n", "1", "--follow", "--json")
		_ = in.Close() // never fails
	}()
	lines := bufio.NewScanner(out)
	for i, want := range []string{"example", "other", "third"} {
		if i > 0 {
			apply(want)
		}
		if !lines.Scan() || !strings.Contains(lines.Text(), `"tenant":"`+want+`"`) {
			t.Fatalf("line %d is %q, %v, want the event of %s", i, lines.Text(), lines.Err(), want)
		}
	}
	interrupt()
	if lines.Scan() {
		t.Errorf("after the end %q was shown", lines.Text())
	}
	if code := <-status; code != 0 {
		t.Errorf("signpost audit tail --follow ended with status %d when it was interrupted, want 0", code)
	}
}
