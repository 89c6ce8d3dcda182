package scopes

import (
	"encoding/json"
	"fmt"
)

// Document is the public scope document of an issuer: which words open which
// service, and the one set that opens all of them. The same for everybody.
type Document struct {
	Broad    string            `json:"broad"` // the set that opens everything: the value to ask for
	Scopes   []DocumentScope   `json:"scopes"`
	Services []DocumentService `json:"services"`
}

// DocumentScope is a scope as the document shows it.
type DocumentScope struct {
	Name     string            `json:"name"`
	Titles   map[string]string `json:"titles"`   // by language tag, "en" always
	Texts    map[string]string `json:"texts"`    // by language tag, "en" always: completes "… may"
	Opens    []string          `json:"opens"`    // protocols
	Includes []string          `json:"includes"` // narrower scopes that it covers
	Services []string          `json:"services"` // ids of the services it opens
}

// DocumentService is a service as the document shows it: what to ask for to open it.
type DocumentService struct {
	ID       string `json:"id"`
	Protocol string `json:"protocol"`
	Scope    string `json:"scope"`    // words that open it, one space between them
	Audience string `json:"audience"` // "audience" of an exchange (RFC 8693, section 2.1)
	Resource string `json:"resource"` // "resource" of a request (RFC 8707, section 2): a URL, or the bare host name of a service without URL
}

// JSON returns the document's bytes: the same for the same document, with
// arrays and objects where there is nothing, never null.
func (d Document) JSON() ([]byte, error) {
	out := Document{Broad: d.Broad, Scopes: make([]DocumentScope, 0, len(d.Scopes)), Services: d.Services}
	if out.Services == nil {
		out.Services = []DocumentService{}
	}
	for _, s := range d.Scopes {
		s.Titles, s.Texts = orEmpty(s.Titles), orEmpty(s.Texts)
		s.Opens, s.Includes, s.Services = orNone(s.Opens), orNone(s.Includes), orNone(s.Services)
		out.Scopes = append(out.Scopes, s)
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode the scope document: %w", err)
	}
	return b, nil
}

func orNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func orEmpty(texts map[string]string) map[string]string {
	if texts == nil {
		return map[string]string{}
	}
	return texts
}
