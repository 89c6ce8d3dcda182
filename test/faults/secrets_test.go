package faults

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// secrets are what passed between people, programs and Signpost and must stand in
// no log and readable in no cache: addresses, tokens, codes, cookies and what a
// sign-in is recognised by.
type secrets struct {
	mu    sync.Mutex
	kinds map[string]string // value -> what it is
}

// members are the names under which secrets travel: in queries, forms and JSON.
var members = []string{
	"access_token", "code", "code_verifier", "id_token", "id_token_hint", "login_hint", "nonce",
	"refresh_token", "state", "subject_token", "ticket",
}

var (
	address      = regexp.MustCompile(`[A-Za-z0-9._+-]+(?:@|%40)[A-Za-z0-9.-]+\.test`)
	ticketInPage = regexp.MustCompile(`ticket(?:=|" value=")([A-Za-z0-9_-]{20,})`)
)

// shortest is the length from which a value is no word that could stand in a log by chance.
const shortest = 8

func (s *secrets) add(kind, value string) {
	if len(value) < shortest {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kinds == nil {
		s.kinds = map[string]string{}
	}
	s.kinds[value] = kind
	if escaped := url.QueryEscape(value); escaped != value {
		s.kinds[escaped] = kind
	}
}

// values returns every value that is known, and what it is.
func (s *secrets) values() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]string, len(s.kinds))
	for value, kind := range s.kinds {
		all[value] = kind
	}
	return all
}

func (s *secrets) fromForm(form url.Values) {
	for _, name := range members {
		for _, value := range form[name] {
			s.add(name, value)
		}
	}
}

func (s *secrets) fromText(text string) {
	for _, found := range address.FindAllString(text, -1) {
		s.add("address", strings.Replace(found, "%40", "@", 1))
	}
	for _, found := range ticketInPage.FindAllStringSubmatch(text, -1) {
		s.add("ticket", found[1])
	}
}

// fromRequest learns what a request carries.
func (s *secrets) fromRequest(r *http.Request, body []byte) {
	s.fromForm(r.URL.Query())
	s.fromText(r.URL.RawQuery)
	s.fromText(string(body))
	if form, err := url.ParseQuery(string(body)); err == nil {
		s.fromForm(form)
	}
	if _, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		s.add("bearer token", token)
	}
	for _, cookie := range r.Cookies() {
		s.add("cookie", cookie.Value)
	}
}

// fromResponse learns what an answer carries.
func (s *secrets) fromResponse(r *http.Response, body []byte) {
	for _, cookie := range r.Cookies() {
		s.add("cookie", cookie.Value)
	}
	if to, err := r.Location(); err == nil {
		s.fromForm(to.Query())
		s.fromText(to.RawQuery)
	}
	s.fromText(string(body))
	var object map[string]any
	if json.Unmarshal(body, &object) != nil {
		return
	}
	for _, name := range members {
		if value, ok := object[name].(string); ok {
			s.add(name, value)
		}
	}
}
