package directory

import (
	"errors"
	"testing"
)

// installation is what the tests of this package look at: two tenants with
// nothing in common.
const installation = `
tenants:
  - name: example
    issuer: base
    title: Example Organisation
    help: https://www.example.test/help
    domains: [example.test, example.org]
    identity_providers:
      - name: staff
        title: Example staff
        issuer: https://login.example.test/realms/staff
        client_id: signpost
        client_secret: hunter2
    services:
      - id: mail
        protocol: imap
        title: Mail
        endpoints: [{host: imap.example.test, port: 993, security: tls}]
      - id: send
        protocol: submission
        endpoints:
          - {host: smtp.example.test, port: 465, security: tls}
          - {host: smtp.example.test, port: 587, security: starttls}
      - id: calendars
        protocol: caldav
        endpoints: [{url: "https://dav.example.test/cal/{domain}/{local}/"}]
      - id: files
        protocol: webdav
        endpoints: [{url: https://cloud.example.net/dav/}]
        username: "{subject}"
  - name: other
    title: Another
    domains: [other.test]
    services:
      - id: mail
        protocol: imap
        endpoints: [{host: imap.other.test, port: 993, security: tls}]
`

const base = "https://id.signpost.test"

// noEnv and noFile are for declarations without secrets elsewhere.
func noEnv(string) (string, bool) { return "", false }

func noFile(string) ([]byte, error) { return nil, errors.New("no such file") }

func mustParse(t testing.TB, src string) []Tenant {
	t.Helper()
	tenants, err := Parse("tenants.yaml", []byte(src), noEnv, noFile)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return tenants
}

func mustCompile(t testing.TB, tenants []Tenant) *Snapshot {
	t.Helper()
	s, err := Compile(base, tenants, 1)
	if err != nil {
		t.Fatalf("Compile: %v", err)
	}
	return s
}

// example returns the snapshot of the installation above.
func example(t testing.TB) *Snapshot {
	t.Helper()
	return mustCompile(t, mustParse(t, installation))
}
