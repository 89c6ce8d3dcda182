package connect

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/emersion/go-ical"
	"github.com/emersion/go-vcard"
	"github.com/emersion/go-webdav"
	"github.com/emersion/go-webdav/caldav"
	"github.com/emersion/go-webdav/carddav"
)

// bearerClient adds the token to each request, counts it, and turns the answers
// of RFC 6750, section 3.1 into *Refused.
type bearerClient struct {
	http  *http.Client
	token string
	count func()
}

func (p *Program) bearer(token string) *bearerClient {
	direct := *p.HTTP
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &bearerClient{http: &direct, token: token, count: func() { p.Trips.Add(1) }}
}

func (c *bearerClient) Do(req *http.Request) (*http.Response, error) {
	req.Header.Set("Authorization", "Bearer "+c.token)
	c.count()
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusForbidden {
		return resp, nil
	}
	defer resp.Body.Close()
	challenge := resp.Header.Get("WWW-Authenticate")
	code := errorCode(challenge)
	return nil, &Refused{
		Reply:             strings.TrimSpace(strconv.Itoa(resp.StatusCode) + " " + code),
		Detail:            challenge,
		InvalidToken:      resp.StatusCode == http.StatusUnauthorized && code == "invalid_token",
		InsufficientScope: resp.StatusCode == http.StatusForbidden && code == "insufficient_scope",
	}
}

// errorCode returns the "error" of a Bearer challenge, or "" if it has none.
func errorCode(challenge string) string {
	scheme, parameters, _ := strings.Cut(challenge, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	for parameter := range strings.SplitSeq(parameters, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if strings.EqualFold(name, "error") {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// propfind asks for the root alone.
func (p *Program) propfind(ctx context.Context, s Service, token string) error {
	body := `<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop><resourcetype/></prop></propfind>`
	req, err := http.NewRequestWithContext(ctx, "PROPFIND", s.URL, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Depth", "0")
	req.Header.Set("Content-Type", "application/xml")
	resp, err := p.bearer(token).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusMultiStatus {
		return fmt.Errorf("propfind: status %d", resp.StatusCode)
	}
	return nil
}

// findEvent goes from the URL to the person's calendars (RFC 6764, section 6)
// and reads every event.
func (p *Program) findEvent(ctx context.Context, s Service, token, text string) (bool, error) {
	client, err := caldav.NewClient(p.bearer(token), s.URL)
	if err != nil {
		return false, err
	}
	principal, err := client.FindCurrentUserPrincipal(ctx)
	if err != nil {
		return false, fmt.Errorf("find principal: %w", err)
	}
	home, err := client.FindCalendarHomeSet(ctx, principal)
	if err != nil {
		return false, fmt.Errorf("find calendars: %w", err)
	}
	calendars, err := client.FindCalendars(ctx, home)
	if err != nil {
		return false, fmt.Errorf("find calendars: %w", err)
	}
	all := &caldav.CalendarQuery{
		CompRequest: caldav.CalendarCompRequest{Name: ical.CompCalendar, AllProps: true, AllComps: true},
		CompFilter:  caldav.CompFilter{Name: ical.CompCalendar, Comps: []caldav.CompFilter{{Name: ical.CompEvent}}},
	}
	for _, calendar := range calendars {
		objects, err := client.QueryCalendar(ctx, calendar.Path, all)
		if err != nil {
			return false, fmt.Errorf("read calendar: %w", err)
		}
		for _, object := range objects {
			for _, event := range object.Data.Events() {
				if summary, err := event.Props.Text(ical.PropSummary); err == nil && strings.Contains(summary, text) {
					return true, nil
				}
			}
		}
	}
	return false, nil
}

// findContact goes from the URL to the person's address books and reads every card.
func (p *Program) findContact(ctx context.Context, s Service, token, text string) (bool, error) {
	client, err := carddav.NewClient(p.bearer(token), s.URL)
	if err != nil {
		return false, err
	}
	principal, err := client.FindCurrentUserPrincipal(ctx)
	if err != nil {
		return false, fmt.Errorf("find principal: %w", err)
	}
	home, err := client.FindAddressBookHomeSet(ctx, principal)
	if err != nil {
		return false, fmt.Errorf("find address books: %w", err)
	}
	books, err := client.FindAddressBooks(ctx, home)
	if err != nil {
		return false, fmt.Errorf("find address books: %w", err)
	}
	all := &carddav.AddressBookQuery{DataRequest: carddav.AddressDataRequest{AllProp: true}}
	for _, book := range books {
		objects, err := client.QueryAddressBook(ctx, book.Path, all)
		if err != nil {
			return false, fmt.Errorf("read address book: %w", err)
		}
		for _, object := range objects {
			if strings.Contains(object.Card.Value(vcard.FieldNote), text) {
				return true, nil
			}
		}
	}
	return false, nil
}

// findFile reads every file, in folders too.
func (p *Program) findFile(ctx context.Context, s Service, token, text string) (bool, error) {
	client, err := webdav.NewClient(p.bearer(token), s.URL)
	if err != nil {
		return false, err
	}
	files, err := client.ReadDir(ctx, "", true)
	if err != nil {
		return false, fmt.Errorf("list files: %w", err)
	}
	for _, file := range files {
		if file.IsDir {
			continue
		}
		content, err := readFile(ctx, client, path.Clean(file.Path))
		if err != nil {
			return false, fmt.Errorf("read file: %w", err)
		}
		if bytes.Contains(content, []byte(text)) {
			return true, nil
		}
	}
	return false, nil
}

func readFile(ctx context.Context, client *webdav.Client, name string) ([]byte, error) {
	file, err := client.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, 1<<20))
}
