package demo

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"signpost/internal/demo/groupware"
)

// Service is a service of the world, as demo.json shows it. All belong to the
// tenant "example".
type Service struct {
	ID       string `json:"id"`
	Protocol string `json:"protocol"`
	Host     string `json:"host,omitempty"` // of a mail service
	Port     int    `json:"port,omitempty"` // of a mail service
	URL      string `json:"url,omitempty"`  // of an HTTP service
	Audience string `json:"audience"`
	Scope    string `json:"scope"`
	Tenant   string `json:"tenant"`
}

// Ids of the services.
const (
	serviceIMAP       = "imap"
	serviceSubmission = "submission"
	serviceCalendar   = "calendar"
	serviceContacts   = "contacts"
	serviceFiles      = "files"
)

type service struct {
	Service
	title    string
	marker   string // random text that was put into the service, for whoever is let in
	listener net.Listener
	check    *groupware.Check
	server   interface {
		Serve(context.Context, net.Listener) error
	}
}

// openServices opens the ports and returns those that it opened, after an error
// too. A mail service has a host name as its audience, an HTTP service its URL.
func openServices(ctx context.Context, o Options) (services []*service, err error) {
	const oauth = "urn:ietf:params:oauth:scope:"
	keys := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{IdleConnTimeout: 30 * time.Second}}
	for _, s := range []*service{
		{title: "Mail", Service: Service{ID: serviceIMAP, Protocol: "imap", Audience: "imap.example.test", Scope: oauth + "mail"}},
		{title: "Sending mail", Service: Service{ID: serviceSubmission, Protocol: "submission", Audience: "submission.example.test", Scope: oauth + "mail"}},
		{title: "Calendar", Service: Service{ID: serviceCalendar, Protocol: "caldav", Scope: oauth + "calendars"}},
		{title: "Contacts", Service: Service{ID: serviceContacts, Protocol: "carddav", Scope: oauth + "contacts"}},
		{title: "Files", Service: Service{ID: serviceFiles, Protocol: "webdav", Scope: "urn:signpost:scope:files"}},
	} {
		if s.listener, err = listen(ctx); err != nil {
			return services, err
		}
		services = append(services, s)
		s.Tenant = tenantExample
		s.marker = newMarker()
		if s.Audience == "" {
			s.URL = "http://" + s.listener.Addr().String() + "/"
			s.Audience = s.URL
		} else {
			s.Host, s.Port = loopback, s.listener.Addr().(*net.TCPAddr).Port
		}
		s.check = &groupware.Check{
			Audience: s.Audience, Scope: s.Scope, HTTP: keys, Now: o.Now, Insecure: o.Insecure[s.ID],
		}
	}
	return services, nil
}

func newMarker() string { return "marker " + randomText() }

// Services returns the five services.
func (w *World) Services() []Service {
	var all []Service
	for _, s := range w.services {
		all = append(all, s.Service)
	}
	return all
}

func (w *World) service(id string) *service {
	for _, s := range w.services {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// fill makes the servers and puts alice's things into them.
func (w *World) fill(issuer string) error {
	for _, s := range w.services {
		s.check.Issuer = issuer
	}
	logins := addressesAt(w.people, tenantExample)
	alice, bob := logins[0], logins[1]
	logger := w.logger

	mailboxes, err := groupware.NewMailboxes(logins...)
	if err != nil {
		return err
	}
	imap := w.service(serviceIMAP)
	imap.server = &groupware.IMAP{Check: imap.check, Mailboxes: mailboxes, Logger: logger}
	welcome := "From: <" + bob + ">\r\nTo: <" + alice + ">\r\nSubject: Welcome\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\n\r\nThis message waits to be read: " + imap.marker + "\r\n"
	if _, err := mailboxes.Deliver(alice, []byte(welcome)); err != nil {
		return err
	}

	submission := w.service(serviceSubmission)
	submission.server = &groupware.Submission{Check: submission.check, Mailboxes: mailboxes, Spool: w.spool, Logger: logger}

	calendar := w.service(serviceCalendar)
	events := groupware.NewCalendar(calendar.check, logger, logins)
	calendar.server = events
	if err := events.AddEvent(alice, "lunch", "Lunch with Bob, "+calendar.marker, calendar.check.Now().Add(24*time.Hour)); err != nil {
		return err
	}

	contacts := w.service(serviceContacts)
	cards := groupware.NewContacts(contacts.check, logger, logins)
	contacts.server = cards
	if err := cards.AddContact(alice, "bob", "Bob Example", bob, contacts.marker); err != nil {
		return err
	}

	files := w.service(serviceFiles)
	folders, err := groupware.NewFiles(files.check, logger, filepath.Join(w.dir, "files"), logins)
	if err != nil {
		return err
	}
	files.server = folders
	if err := folders.AddFile(alice, "notes.txt", []byte("Notes of Alice, "+files.marker+"\n")); err != nil {
		return fmt.Errorf("fill files: %w", err)
	}
	return nil
}
