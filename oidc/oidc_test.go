package oidc

import (
	"errors"
	"testing"
)

func TestBroad(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		aud  []string
		want bool
	}{
		{"issuer alone", []string{"https://id.example.com"}, true},
		{"issuer and a service", []string{"imap.example.com", "https://id.example.com"}, true},
		{"a service", []string{"imap.example.com"}, false},
		{"issuer with a slash is another string", []string{"https://id.example.com/"}, false},
		{"nobody", nil, false},
	} {
		if got := (Claims{Issuer: "https://id.example.com", Audience: c.aud}).Broad(); got != c.want {
			t.Errorf("%s: Broad() = %v, want %v", c.name, got, c.want)
		}
	}
}

func TestErrorKeepsItsCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("disk full")
	err := error(E(CodeServerError, "try again").Because(cause))
	if !errors.Is(err, cause) || CodeOf(err) != CodeServerError {
		t.Errorf("got %v, code %q", err, CodeOf(err))
	}
	if CodeOf(cause) != "" {
		t.Errorf("CodeOf(a plain error) = %q, want none", CodeOf(cause))
	}
}
