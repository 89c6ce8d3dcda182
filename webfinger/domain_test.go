package webfinger_test

import (
	"errors"
	"strings"
	"testing"

	"signpost/webfinger"
)

func TestParseDomain(t *testing.T) {
	t.Parallel()
	good := func(name, want string) {
		t.Helper()
		got, err := webfinger.ParseDomain(name)
		if err != nil || got != want {
			t.Errorf("ParseDomain(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
	bad := func(name string) {
		t.Helper()
		if got, err := webfinger.ParseDomain(name); !errors.Is(err, webfinger.ErrDomain) {
			t.Errorf("ParseDomain(%q) = %q, %v; want ErrDomain", name, got, err)
		}
	}

	good("example.com", "example.com")
	good("EXAMPLE.com.", "example.com")
	good("bücher.example", "xn--bcher-kva.example")
	good("BÜCHER.example", "xn--bcher-kva.example")
	good("XN--BCHER-KVA.example", "xn--bcher-kva.example")
	good("a-b.example", "a-b.example")
	good(strings.Repeat("a", 63)+".example", strings.Repeat("a", 63)+".example")

	bad("")
	bad(".")
	bad("example..com")
	bad("-a.example")
	bad("a-.example")
	bad("a b.example")
	bad("a_b.example")
	bad("*.example")
	bad("alice@example.com")
	bad("https://example.com")
	bad("xn--a.example")
	bad("\xff.example")
	bad(strings.Repeat("a", 64) + ".example")
	bad(strings.Repeat("abcdefg.", 32) + "example")
}
