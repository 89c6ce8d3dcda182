// Package configdoc is the answer at the end of the way: the configuration
// document that lists one person's own services in the order in which a client
// should try them, each with what is needed to connect and to exchange the broad
// token for a narrow one (RFC 8693). It holds the document, its JSON form, the
// JSON Schema of that form and the parser for clients. It does no I/O: directory
// fills a document in, server sends it, client reads it.
package configdoc

import (
	"fmt"
	"log/slog"
)

// Document is the configuration of one person at one issuer.
type Document struct {
	Account       Account  `json:"account"`
	Provider      Provider `json:"provider"`
	Issuer        string   `json:"issuer"`         // exactly as in the metadata
	TokenEndpoint string   `json:"token_endpoint"` // where the broad token is exchanged

	Incoming  []Service `json:"incoming"`  // mail to read: imap, pop3, jmap
	Outgoing  []Service `json:"outgoing"`  // mail to send: submission
	Calendars []Service `json:"calendars"` // caldav
	Contacts  []Service `json:"contacts"`  // carddav
	Files     []Service `json:"files"`     // webdav
	Chat      []Service `json:"chat"`      // xmpp, matrix
	Other     []Service `json:"other"`     // everything else
}

// Account says whose configuration this is.
type Account struct {
	Subject     string   `json:"subject"`                // "sub" of the person's tokens
	Addresses   []string `json:"addresses"`              // the primary one first; may be empty
	DisplayName string   `json:"display_name,omitempty"` // may be empty
}

// Provider is the organisation that offers the services, for people to see.
type Provider struct {
	Name string `json:"name,omitempty"`
	Logo string `json:"logo,omitempty"` // URL of an image
	Help string `json:"help,omitempty"` // URL of a page
}

// Service is something a client connects to with a credential of its own.
type Service struct {
	ID             string     `json:"id"`       // stable key within the account
	Protocol       string     `json:"protocol"` // "imap", "submission", "caldav", ...; leave out a service whose protocol you do not know
	Title          string     `json:"title,omitempty"`
	Endpoints      []Endpoint `json:"endpoints"` // in order of preference, at least one
	Username       string     `json:"username,omitempty"`
	Authentication []string   `json:"authentication"`     // in order of preference: "oauthbearer", "xoauth2", "bearer"
	Credential     string     `json:"credential"`         // services with the same name share a credential
	Audience       string     `json:"audience,omitempty"` // what to name in an exchange; empty if no token opens the service
	Resource       string     `json:"resource,omitempty"` // the same as a resource indicator (RFC 8707, section 2)
	Scope          string     `json:"scope,omitempty"`    // what to ask for in an exchange, one space between words
	Order          int        `json:"order"`              // smaller comes first
	Insecure       bool       `json:"insecure,omitempty"` // an endpoint without TLS; the provider said so in as many words

	// Token and Refusal stand in the answer to a request for the configuration with tokens
	// alone: one of them in each service that was asked for.
	Token   *Token   `json:"token,omitempty"`
	Refusal *Refusal `json:"refusal,omitempty"`
}

// Token opens one service, and others with the same audience: the answer of an exchange
// (RFC 8693, section 2.2.1).
type Token struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type"`
	TokenType       string `json:"token_type"` // "Bearer", or "DPoP" if it is bound to the key of the request
	ExpiresIn       int64  `json:"expires_in"` // seconds
	Scope           string `json:"scope"`
	Source          string `json:"source,omitempty"` // "upstream" if the identity provider made it; empty if Signpost did
}

// String shows what is not secret.
func (t Token) String() string {
	return fmt.Sprintf("%s token for %q, valid for %d s", t.TokenType, t.Scope, t.ExpiresIn)
}

// GoString hides what String hides.
func (t Token) GoString() string { return t.String() }

// LogValue hides what String hides.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Refusal says why there is no token (RFC 6749, section 5.2).
type Refusal struct {
	Error            string `json:"error"`
	ErrorDescription string `json:"error_description,omitempty"`
}

// Security of an Endpoint that is reached by host and port.
const (
	SecurityTLS      = "tls"
	SecurityStartTLS = "starttls"
	SecurityNone     = "none" // only in a service that is marked insecure
)

// Endpoint is one way to reach a service: host, port and security, or a URL.
type Endpoint struct {
	Host     string `json:"host,omitempty"`
	Port     int    `json:"port,omitempty"`
	Security string `json:"security,omitempty"`
	URL      string `json:"url,omitempty"`
}

// Services returns the services of all kinds, in the order of the document.
func (d Document) Services() []Service {
	var all []Service
	for _, kind := range d.kinds() {
		all = append(all, *kind...)
	}
	return all
}

// Change lets f change each service, in the order of the document, until it fails, and
// returns its error.
func (d *Document) Change(f func(*Service) error) error {
	for _, kind := range d.kinds() {
		for i := range *kind {
			if err := f(&(*kind)[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// kinds returns the arrays of the document in their order.
func (d *Document) kinds() []*[]Service {
	return []*[]Service{
		&d.Incoming, &d.Outgoing, &d.Calendars, &d.Contacts, &d.Files, &d.Chat, &d.Other,
	}
}
