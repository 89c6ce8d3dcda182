package server_test

import (
	"net/url"
	"strings"
	"testing"

	"signpost/directory"
	"signpost/internal/servertest"
)

// Clients that declarePortals declares at the tenant at the base URL.
const (
	portalRedirect = "https://portal.example.test/cb?from=signpost"
	secondRedirect = "https://second.example.test/cb"
	deskSecret     = "a secret of the desk that a machine made"
)

// declarePortals declares two web sites, of which one has a loopback redirect too, and
// a program with credentials.
func declarePortals(t testing.TB, s *servertest.Server) {
	t.Helper()
	fixed := `        - {id: portal, name: Example Portal, redirect_uris: ["` + portalRedirect + `", "` + redirectURI + `"]}
        - {id: second, name: Second Portal, redirect_uris: ["` + secondRedirect + `"]}
        - {id: desk, name: Desk, redirect_uris: ["` + redirectURI + `"], secret: "` + deskSecret + `"}
`
	declare(t, s, withClients(s.Declaration(), fixed), func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		_, known := r.FixedClient("desk")
		return known
	})
}

// withClients adds clients to the first tenant of the declaration of package servertest.
func withClients(declaration, fixed string) string {
	return strings.Replace(declaration, `    clients: {device: "on"}`+"\n", "    clients:\n      device: \"on\"\n      fixed:\n"+fixed, 1)
}

// portal is an authorization request of the web site; more changes it further.
func portal(more ...func(url.Values)) func(url.Values) {
	return func(q url.Values) {
		q.Set("client_id", "portal")
		q.Set("redirect_uri", portalRedirect)
		q.Set("scope", "openid "+mailScope)
		for _, change := range more {
			change(q)
		}
	}
}

// asks brings an authorization request to its end without a word of the person on our
// consent page, and returns what the client was told, or nil if a page is shown.
func (b *browser) asks(authorize string) url.Values {
	b.t.Helper()
	p := b.get(authorize)
	if b.answer == nil && p.status == 200 {
		b.get(upstreamLink(b.t, p))
	}
	if b.answer == nil {
		return nil
	}
	return b.answer.Query()
}
