package directory

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"signpost/oidc"
	"signpost/webfinger"
)

const wantIssuerLink = `{"rel":"http://openid.net/specs/connect/1.0/issuer","href":"https://id.signpost.test",` +
	`"properties":{"urn:signpost:oauth:client_id":"open",` +
	`"urn:signpost:oauth:scope":"openid offline_access urn:ietf:params:oauth:scope:mail urn:ietf:params:oauth:scope:calendars urn:signpost:scope:files"}}`

const wantOtherLinks = `{"rel":"urn:signpost:rel:scopes","type":"application/json","href":"https://id.signpost.test/scopes"},` +
	`{"rel":"urn:signpost:rel:configuration","type":"application/json","href":"https://id.signpost.test/configuration"}`

// The bytes are what clients see: a change here is a change for all of them.
func TestAnswerBytes(t *testing.T) {
	t.Parallel()
	s := example(t)
	for what, c := range map[string]struct {
		rels []string
		want string
	}{
		"every link":                        {nil, wantIssuerLink + "," + wantOtherLinks},
		"one relation":                      {[]string{oidc.RelIssuer}, wantIssuerLink},
		"the order is ours":                 {[]string{webfinger.RelConfiguration, webfinger.RelScopes}, wantOtherLinks},
		"a relation twice":                  {[]string{oidc.RelIssuer, oidc.RelIssuer}, wantIssuerLink},
		"known and unknown":                 {[]string{"urn:example:none", oidc.RelIssuer}, wantIssuerLink},
		"an unknown relation":               {[]string{"urn:example:none"}, ""},
		"an empty relation":                 {[]string{""}, ""},
		"compared as string, not as a URI":  {[]string{strings.ToUpper(oidc.RelIssuer)}, ""},
		"no prefix of a relation is enough": {[]string{"urn:signpost:rel:"}, ""},
	} {
		want := `{"subject":"acct:alice@example.test","links":[` + c.want + `]}`
		got, err := s.Answer([]byte("before"), "acct:alice@example.test", c.rels)
		if err != nil || string(got) != "before"+want {
			t.Errorf("%s: Answer = %s, %v\nwant before%s", what, got, err, want)
		}
	}
}

func TestAnswerResources(t *testing.T) {
	t.Parallel()
	tenants := mustParse(t, installation)
	tenants = append(tenants, Tenant{Name: "own", Placement: "https://id.own.test/", Title: "Own", Domains: []Domain{{Name: "own.test"}}})
	s := mustCompile(t, tenants)
	good := func(resource, issuer string) {
		t.Helper()
		b, err := s.Answer(nil, resource, nil)
		if err != nil {
			t.Errorf("Answer(%q): %v", resource, err)
			return
		}
		var jrd webfinger.JRD
		if err := json.Unmarshal(b, &jrd); err != nil {
			t.Fatalf("Answer(%q) is no JRD: %v\n%s", resource, err, b)
		}
		if jrd.Subject != resource || len(jrd.Links) != 3 || jrd.Links[0].Rel != oidc.RelIssuer || jrd.Links[0].Href != issuer {
			t.Errorf("Answer(%q) = %s; want it as the subject, and issuer %s first", resource, b, issuer)
		}
	}
	bad := func(resource string, want error) {
		t.Helper()
		if b, err := s.Answer(nil, resource, nil); !errors.Is(err, want) || len(b) != 0 {
			t.Errorf("Answer(%q) = %s, %v; want %v", resource, b, err, want)
		}
	}

	good("acct:alice@example.test", base)
	good("acct:alice@EXAMPLE.test.", base)
	good("mailto:alice@example.org", base)
	good("acct:alice%40gmail.com@example.test", base)
	good("https://example.test", base)
	good("https://example.test/", base)
	good("https://example.test:443/", base)
	good(base, base)
	good(base+"/", base)
	good("acct:alice@other.test", base+"/t/other")
	good("https://other.test/", base+"/t/other")
	good(base+"/t/other", base+"/t/other")
	good(base+"/t/other/", base+"/t/other")
	good("acct:alice@own.test", "https://id.own.test")
	good("https://id.own.test", "https://id.own.test")

	bad("acct:alice@unknown.test", ErrNotFound)
	bad("acct:alice@sub.example.test", ErrNotFound)
	bad("acct:alice@test", ErrNotFound)
	bad("acct:alice@id.signpost.test", ErrNotFound) // an issuer's host is not a mail domain
	bad("https://example.test/alice", ErrNotFound)
	bad("https://example.test:8443/", ErrNotFound)
	bad(base+"/t/example", ErrNotFound)
	bad(base+"/t/other//", ErrNotFound)
	bad(base+"/t/", ErrNotFound)
	bad("", webfinger.ErrResource)
	bad("alice@example.test", webfinger.ErrResource)
	bad("acct:alice@example.test\"", webfinger.ErrResource)
	bad("http://example.test/", webfinger.ErrResource)
}

// An issuer at a served domain's own host stands for itself.
func TestAnswerPrefersTheIssuer(t *testing.T) {
	t.Parallel()
	s, err := Compile("https://hoster.test", []Tenant{
		{Name: "customer", Placement: PlacementPath, Domains: []Domain{{Name: "hoster.test"}}},
		{Name: "hoster", Placement: PlacementBase},
	}, 1)
	if err != nil {
		t.Fatalf("Compile: %v", err)
	}
	b, err := s.Answer(nil, "https://hoster.test/", nil)
	if err != nil || !bytes.Contains(b, []byte(`"href":"https://hoster.test"`)) {
		t.Errorf("Answer = %s, %v; want the issuer that lives there", b, err)
	}
	b, err = s.Answer(nil, "acct:alice@hoster.test", nil)
	if err != nil || !bytes.Contains(b, []byte(`"href":"https://hoster.test/t/customer"`)) {
		t.Errorf("Answer = %s, %v; want the tenant that has the domain", b, err)
	}
}

// Nobody learns who exists: whatever stands before the @, the answer differs in
// the subject only.
func TestR32UniformAnswers(t *testing.T) {
	t.Parallel()
	s := example(t)
	answer := func(t rapid.TB, resource string, rels []string) string {
		b, err := s.Answer(nil, resource, rels)
		if err != nil {
			t.Fatalf("Answer(%q): %v", resource, err)
		}
		rest, found := strings.CutPrefix(string(b), `{"subject":"`+resource+`"`)
		if !found {
			t.Fatalf("Answer(%q) = %s; want the resource as subject", resource, b)
		}
		return rest
	}
	local := rapid.StringMatching(`([a-zA-Z0-9._~!$&'()*+,;=-]|%[2-7][0-9A-E]){1,60}`)
	rapid.Check(t, func(t *rapid.T) {
		domain := rapid.SampledFrom([]string{"example.test", "example.org"}).Draw(t, "domain")
		rels := rapid.SliceOfN(rapid.SampledFrom([]string{oidc.RelIssuer, webfinger.RelScopes, "urn:example:none"}), 0, 3).Draw(t, "rels")
		resource := "acct:" + local.Draw(t, "local part") + "@" + domain
		if got, want := answer(t, resource, rels), answer(t, "acct:alice@example.test", rels); got != want {
			t.Errorf("%q, %q: got %s\nwant what alice gets: %s", resource, rels, got, want)
		}
	})
}

// The work is the same too: a hit allocates nothing, whoever is asked for.
//
//nolint:paralleltest // allocations of tests that run at the same time would be counted
func TestR32AnswerDoesNotAllocate(t *testing.T) {
	s := example(t)
	dst := make([]byte, 0, 2048)
	rels := []string{oidc.RelIssuer}
	for _, resource := range []string{"acct:alice@example.test", "acct:nobody-at-all@example.test", "https://example.test/"} {
		if n := testing.AllocsPerRun(100, func() {
			if _, err := s.Answer(dst, resource, rels); err != nil {
				t.Fatalf("Answer(%q): %v", resource, err)
			}
		}); n != 0 {
			t.Errorf("Answer(%q) allocates %v times, want none", resource, n)
		}
	}
}

func TestAnswersOfTenantsNeverMix(t *testing.T) {
	t.Parallel()
	s := example(t)
	names := []string{"example", "other"}
	own := map[string][]string{
		"example": {`"https://id.signpost.test"`, `"https://id.signpost.test/scopes"`, "scope:files"},
		"other":   {`"https://id.signpost.test/t/other"`, `"https://id.signpost.test/t/other/scopes"`},
	}
	for i, resource := range []string{"acct:alice@example.test", "acct:alice@other.test"} {
		b, err := s.Answer(nil, resource, nil)
		if err != nil {
			t.Fatalf("Answer(%q): %v", resource, err)
		}
		for _, part := range own[names[i]] {
			if !bytes.Contains(b, []byte(part)) {
				t.Errorf("Answer(%q) = %s; want %s in it", resource, b, part)
			}
		}
		for _, part := range own[names[1-i]] {
			if bytes.Contains(b, []byte(part)) {
				t.Errorf("Answer(%q) = %s; it holds %s of tenant %s", resource, b, part, names[1-i])
			}
		}
	}
}

// Whatever the parser of resources lets pass one day, the answer stays JSON.
func TestAppendEscaped(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		b := append(appendEscaped([]byte{'"'}, text), '"')
		var got string
		if err := json.Unmarshal(b, &got); err != nil || got != text {
			t.Errorf("%q is written %s, which reads %q, %v", text, b, got, err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	s := example(f)
	for _, seed := range []string{"acct:alice@example.test", "https://id.signpost.test/t/other", "acct:%22@other.test", "mailto:a@example.org?x"} {
		f.Add(seed, "")
		f.Add(seed, oidc.RelIssuer)
	}
	f.Fuzz(func(t *testing.T, resource, rel string) {
		b, err := s.Answer(nil, resource, []string{rel})
		if err != nil {
			if !errors.Is(err, ErrNotFound) && !errors.Is(err, webfinger.ErrResource) || len(b) != 0 {
				t.Fatalf("Answer(%q) = %s, %v; want a known error and nothing else", resource, b, err)
			}
			return
		}
		var jrd webfinger.JRD
		if err := json.Unmarshal(b, &jrd); err != nil || jrd.Subject != resource {
			t.Fatalf("Answer(%q) = %s, %v; want a JRD of it", resource, b, err)
		}
		for _, link := range jrd.Links {
			if link.Rel != rel {
				t.Errorf("Answer(%q, %q) has the relation %q", resource, rel, link.Rel)
			}
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	s := example(b)
	dst := make([]byte, 0, 2048)
	for name, rels := range map[string][]string{"all": nil, "rel": {oidc.RelIssuer}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Answer(dst, "acct:alice@example.test", rels); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
