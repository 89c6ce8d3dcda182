package directory

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"signpost/oidc"
)

// Keys of programs and resource servers.
var (
	clientsKeys = []string{"registration", "url_ids", "open", "built_in", "device", "allow", "deny", "condition", "fixed"}
	matchKeys   = []string{"id", "id_hash", "software_id", "redirect", "host"}
	fixedKeys   = []string{
		"id", "name", "redirect_uris", "post_logout_redirect_uris", "authentication", "secret", "secret_file", "secret_env",
		"jwks", "jwks_file", "id_token_algorithm", "dpop_bound_access_tokens", "condition",
	}
	resourceServerKeys = []string{"name", "audiences", "authentication", "secret", "secret_file", "secret_env", "jwks", "jwks_file"}
)

// clients reads which programs a tenant lets in, and those that it declares.
func (o *object) clients(t *Tenant) {
	node := o.value("clients")
	if node == nil {
		return
	}
	s := spot{ref: ref{tenant: o.spot.tenant, kind: kindClientPolicy}}
	c := o.r.object(node, "clients", s, clientsKeys...)
	if c == nil {
		return
	}
	t.Clients = ClientPolicy{
		RegistrationOff: !c.flag("registration", true),
		URLsOff:         !c.flag("url_ids", true),
		OpenOff:         !c.flag("open", true),
		BuiltInOff:      c.builtInOff(),
		Device:          c.text("device", ""),
		Allow:           c.matches("allow", kindAllow),
		Deny:            c.matches("deny", kindDeny),
		Condition:       c.condition(),
	}
	for _, node := range c.nodes("fixed") {
		s := o.spot.child(kindClient, len(t.FixedClients), "")
		if f := o.r.object(node, "a client", s, fixedKeys...); f != nil {
			t.FixedClients = append(t.FixedClients, f.fixedClient())
		}
	}
}

// builtInOff reads one switch for each built-in client and returns those that are off.
func (o *object) builtInOff() []string {
	node := o.value("built_in")
	if node == nil {
		return nil
	}
	switches := o.r.object(node, "built_in", spot{}, builtInIDs()...)
	if switches == nil {
		return nil
	}
	var off []string
	for _, id := range builtInIDs() {
		if !switches.flag(id, true) {
			off = append(off, id)
		}
	}
	return off
}

func (o *object) matches(key, kind string) []ClientMatch {
	var matches []ClientMatch
	for _, node := range o.nodes(key) {
		s := spot{ref: ref{tenant: o.spot.tenant, kind: kind, index: len(matches)}}
		before := len(o.r.problems)
		m := o.r.object(node, "an entry of "+key, s, matchKeys...)
		if m == nil {
			continue
		}
		matches = append(matches, ClientMatch{
			ID:         m.text("id", ""),
			IDHash:     m.text("id_hash", ""),
			SoftwareID: m.text("software_id", ""),
			Redirect:   m.text("redirect", ""),
			Host:       m.text("host", ""),
		})
		if len(o.r.problems) > before {
			o.r.broken[s.ref] = true // Check would find too little in it
		}
	}
	return matches
}

func (o *object) fixedClient() FixedClient {
	c := FixedClient{
		ID:                     o.text("id", ""),
		Name:                   o.text("name", ""),
		RedirectURIs:           o.texts("redirect_uris", nil),
		PostLogoutRedirectURIs: o.texts("post_logout_redirect_uris", nil),
		SecretHash:             o.secretHash(),
		JWKS:                   o.elsewhere("jwks", "_file"),
		IDTokenAlgorithm:       o.text("id_token_algorithm", ""),
		DPoPBound:              o.flag("dpop_bound_access_tokens", false),
		Condition:              o.condition(),
	}
	c.Authentication = o.text("authentication", o.defaultAuthentication(oidc.AuthNone))
	return c
}

func (o *object) resourceServer() ResourceServer {
	return ResourceServer{
		Name:           o.text("name", ""),
		Audiences:      o.texts("audiences", nil),
		SecretHash:     o.secretHash(),
		JWKS:           o.elsewhere("jwks", "_file"),
		Authentication: o.text("authentication", o.defaultAuthentication(oidc.AuthSecretBasic)),
	}
}

// defaultAuthentication follows from the credentials that are given.
func (o *object) defaultAuthentication(without string) string {
	switch {
	case o.has("secret") || o.has("secret_file") || o.has("secret_env"):
		return oidc.AuthSecretBasic
	case o.has("jwks") || o.has("jwks_file"):
		return oidc.AuthPrivateKeyJWT
	}
	return without
}

// minSecret is the length from which a secret is too long to be guessed if a machine
// made it. Nothing shorter is taken, because its hash is kept without a salt.
const minSecret = 32

const secretHint = "make one with: openssl rand -base64 32"

// secretHash reads a secret and returns its SHA-256: nothing else is kept.
func (o *object) secretHash() []byte {
	secret := o.elsewhere("secret", "_file", "_env")
	if secret == "" {
		return nil
	}
	if len(secret) < minSecret {
		where := o.r.positions[o.spot.field("secret").ref]
		o.r.problem(where, secretHint, "the secret is shorter than %d characters", minSecret)
	}
	hash := sha256.Sum256([]byte(secret))
	return hash[:]
}

// elsewhere reads a text that stands at the key itself, or in what the key with an
// ending names: a file, or a variable. It is empty if there is none.
func (o *object) elsewhere(key string, endings ...string) string {
	var text string
	o.within(key, func() { text = o.readElsewhere(key, endings) })
	return text
}

func (o *object) readElsewhere(key string, endings []string) string {
	given := []string{key}
	for _, ending := range endings {
		given = append(given, key+ending)
	}
	given = slices.DeleteFunc(given, func(k string) bool { return !o.has(k) })
	if len(given) == 0 {
		return ""
	}
	if len(given) > 1 {
		o.r.problem(at(o.value(given[1])), "keep one of them", "%s and %s say the same", given[0], given[1])
		return ""
	}
	node := o.value(given[0])
	o.r.mark(o.spot.field(key), at(node)) // what Check says of it is said where it is named
	text, err := o.text(given[0], ""), error(nil)
	if text == "" {
		return ""
	}
	switch strings.TrimPrefix(given[0], key) {
	case "_file":
		text, err = o.fromFile(text)
	case "_env":
		text, err = o.fromVariable(text)
	}
	if err != nil {
		o.r.problem(at(node), "", "%s: %v", given[0], err)
	}
	return text
}

func (o *object) fromFile(name string) (string, error) {
	b, err := o.r.readFile(name)
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(b), "\r\n")
	if text == "" {
		return "", fmt.Errorf("%s is empty", name)
	}
	return text, nil
}

func (o *object) fromVariable(name string) (string, error) {
	text, found := o.r.env(name)
	if !found || text == "" {
		return "", fmt.Errorf("the variable %s is not set", name)
	}
	return text, nil
}
