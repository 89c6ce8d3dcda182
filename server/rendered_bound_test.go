package server

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/scopes"
)

// TestRenderedIsBounded: what documents are found by is counted with them, so that short documents with
// long keys fill the memory no more than others.
func TestRenderedIsBounded(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`
tenants:
  - name: example
    issuer: base
    title: Example
    domains: [example.test]
    identity_providers:
      - {name: staff, title: Staff, issuer: "https://login.example.test", client_id: x, scopes: [openid], address_trust: email_verified}
    services:
`)
	for n := range 200 {
		fmt.Fprintf(&b, "      - {id: a-service-of-some-department-%03d, protocol: imap, title: Mail, audience: a%d.example.test, endpoints: [{host: h%d.example.test, port: 993, security: tls}], scopes: [\"urn:ietf:params:oauth:scope:mail\"], in_broad: false, condition: '\"x\" in claims.amr'}\n", n, n, n)
	}
	tenants, err := directory.Parse("tenants.yaml", []byte(b.String()), os.LookupEnv, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := directory.Compile("https://id.example.test", tenants, 1)
	if err != nil {
		t.Fatal(err)
	}
	realm, _ := snapshot.Realm("example")
	services := issuer.PolicyServices(realm, issuer.Account{ID: "x"})
	var d rendered
	var held, keyed int // bytes that are kept by now
	for n := range 4000 {
		bearer := issuer.Bearer{
			Standing: issuer.Standing{Holder: directory.Holder{Subject: "x"}}, Scope: scopes.Of(oidc.ScopeOpenID, fmt.Sprintf("s%d", n)),
		}
		bearer.Request.Services = services
		v := bearer.View(realm)
		before := len(d.documents)
		written, err := d.of(snapshot, v)
		if err != nil {
			t.Fatal(err)
		}
		if len(d.documents) <= before {
			held, keyed = 0, 0
		}
		held, keyed = held+len(written.body)+v.Size(), keyed+v.Size()
		if d.bytes < held || held > maxRendered+len(written.body)+v.Size() {
			t.Fatalf("after %d documents: %d bytes are kept and %d counted, of at most %d", n+1, held, d.bytes, maxRendered)
		}
		if v.Size() < 200*len("a-service-of-some-department-000") {
			t.Fatalf("a view of 200 services that are not there has %d bytes", v.Size())
		}
	}
	if keyed == 0 || len(d.documents) == 4000 {
		t.Errorf("%d documents are kept, with keys of %d bytes: the bound was never reached", len(d.documents), keyed)
	}
}
