package server_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"testing"

	"signpost/oidc"
)

// TestR14KillSwitchOfRegisteredClients: by everything that picks one out, beside the running
// server. It is unknown at once, cannot register again, and goes on where it was when
// it is let in again; others notice nothing.
func TestR14KillSwitchOfRegisteredClients(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	const metadata = `{"redirect_uris":["` + redirectURI + `","com.example.mail:/cb"],"software_id":"4NRB1-0XZABZI9E6-5SM3R","client_name":"Example Mail"}`
	p := &program{t: t, s: s, id: registered(t, s.URL+"/register", metadata), redirect: redirectURI}
	other := &program{t: t, s: s, redirect: "http://127.0.0.1:49152/other"}
	other.id = registered(t, s.URL+"/register", `{"redirect_uris":["`+other.redirect+`"],"software_id":"other"}`)
	p.signsIn()
	other.signsIn()
	p.works("before")
	hash := sha256.Sum256([]byte(p.id))
	for name, entry := range map[string]string{
		"software_id":         "software_id: 4NRB1-0XZABZI9E6-5SM3R",
		"redirect":            `redirect: "` + redirectURI + `"`,
		"redirect, any port":  `redirect: "http://127.0.0.1/cb"`,
		"redirect, by scheme": "redirect: com.example.mail",
		"id_hash":             "id_hash: " + hex.EncodeToString(hash[:]),
		"id":                  "id: " + p.id,
	} {
		applied(t, s, withPolicy(s, "      deny: [{"+entry+"}]\n", ""))
		p.isUnknown(name)
		tokenError(t, name, ask(t, http.MethodPost, s.URL+"/register", body("application/json", metadata)), http.StatusBadRequest, oidc.CodeInvalidClientMetadata)
		other.works(name)
		applied(t, s, withPrograms(s.Declaration()))
		p.works(name + " is over")
	}
	applied(t, s, withPolicy(s, "      allow: [{software_id: other}]\n", ""))
	p.isUnknown("only another is allowed")
	other.works("it is allowed")
	applied(t, s, withPolicy(s, "      registration: false\n", ""))
	p.works("who registered before goes on")
}
