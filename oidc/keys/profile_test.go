package keys_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"signpost/oidc"
	"signpost/oidc/keys"
)

// own is a profile of a tenant's own in which everything is otherwise than in the built-in ones.
func own() oidc.Profile {
	return oidc.Profile{
		Name: "own", Type: oidc.TypeJWT, ClientID: true, AuthorizedParty: true, AudienceArray: true,
		IssuedAt: true, NotBefore: true, Backdate: time.Minute, UserClaim: "https://example.org/login",
	}
}

// bare is a profile of a tenant's own that says as little as it can.
func bare() oidc.Profile { return oidc.Profile{Name: "bare", Type: oidc.TypeAccessToken} }

// TestR7SignedTokensVerify: what comes back is what was signed, as far as the profile says it.
func TestR7SignedTokensVerify(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, c := range map[string]struct {
		profile oidc.Profile
		edit    func(*oidc.Claims) // what the profile leaves out
	}{
		"rfc9068": {profile(t, oidc.ProfileRFC9068), func(*oidc.Claims) {}},
		"dovecot": {profile(t, oidc.ProfileDovecot), func(c *oidc.Claims) { c.ClientID, c.IssuedAt = "", start.Add(-10*time.Second) }},
		"own":     {own(), func(c *oidc.Claims) { c.IssuedAt = start.Add(-time.Minute) }},
		"bare":    {bare(), func(c *oidc.Claims) { c.ClientID, c.IssuedAt = "", time.Time{} }},
	} {
		for _, algorithm := range []string{keys.ES256, keys.RS256} {
			token, err := r.Sign("example", c.profile, algorithm, claims())
			if err != nil {
				t.Errorf("%s, %s: %v", name, algorithm, err)
				continue
			}
			got, err := r.Verify("example", issuer, token)
			if err != nil {
				t.Errorf("%s, %s: %v", name, algorithm, err)
				continue
			}
			want := claims()
			c.edit(&want)
			got.ExpiresAt, got.IssuedAt = got.ExpiresAt.UTC(), got.IssuedAt.UTC()
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s:\n got %+v\nwant %+v", name, algorithm, got, want)
			}
		}
	}
}

// TestR7ProfilesExactly compares whole headers and payloads with files, so that no claim
// comes or goes unseen. RFC 9068, section 2 asks for typ, iss, exp, aud, sub, client_id, iat
// and jti. Dovecot 2.3 and 2.4 take "typ" JWT exactly, a short kid, neither azp nor client_id (they
// choose the key's folder) and no "iat" of the future. Cyrus takes a header without kid, "sub"
// and "exp".
func TestR7ProfilesExactly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	server := r.addServer(t, "dav.example.org")
	one, bound, nobody := claims(), claims(), claims()
	one.Audience = []string{"dav.example.org"}
	bound.Key = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	nobody.Username, nobody.Scope, nobody.GrantID, nobody.ClientID = "", "", "", ""
	es, rs := r.access.id, r.rsa.id
	for name, c := range map[string]struct {
		profile   oidc.Profile
		algorithm string
		claims    oidc.Claims
		kid       string
	}{
		"rfc9068":         {profile(t, oidc.ProfileRFC9068), keys.ES256, one, es},
		"rfc9068-broad":   {profile(t, oidc.ProfileRFC9068), keys.ES256, claims(), es},
		"rfc9068-bound":   {profile(t, oidc.ProfileRFC9068), keys.ES256, bound, es},
		"rfc9068-rs256":   {profile(t, oidc.ProfileRFC9068), keys.RS256, one, rs},
		"dovecot":         {profile(t, oidc.ProfileDovecot), keys.ES256, one, es},
		"dovecot-rs256":   {profile(t, oidc.ProfileDovecot), keys.RS256, one, rs},
		"dovecot-no-name": {profile(t, oidc.ProfileDovecot), keys.ES256, nobody, es},
		"cyrus":           {profile(t, oidc.ProfileCyrus), keys.RS256, one, server.id},
		"own":             {own(), keys.ES256, one, es},
		"own-bound":       {own(), keys.ES256, bound, es},
		"own-no-name":     {own(), keys.ES256, nobody, es},
		"own-bare":        {bare(), keys.RS256, one, rs},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token, err := r.Sign("example", c.profile, c.algorithm, c.claims)
			if err != nil {
				t.Fatal(err)
			}
			header, payload := parts(t, token)
			got := strings.Replace(header, `"`+c.kid+`"`, `"kkkkkkkkkkk"`, 1) + "\n" + payload + "\n"
			want, err := os.ReadFile("testdata/profiles/" + name + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
			if len(c.kid) > 11 { // R9
				t.Errorf("kid %q is longer than 11 characters", c.kid)
			}
		})
	}
}

// TestR7IDTokensExactly: an ID token has neither scope nor client_id, is signed by a
// key of its own, and never invents auth_time (R17).
func TestR7IDTokensExactly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, c := range map[string]struct {
		edit func(c *keys.IDClaims)
		want string
	}{
		"least": {func(*keys.IDClaims) {}, `{"iss":"https://id.example.org","sub":"alice-id","aud":"open","exp":1795438800,"iat":1795435200}`},
		"all": {func(c *keys.IDClaims) { c.Nonce, c.AuthTime = "n-1", start.Add(-time.Minute) },
			`{"iss":"https://id.example.org","sub":"alice-id","aud":"open","exp":1795438800,"iat":1795435200,"nonce":"n-1","auth_time":1795435140}`},
		"what the identity provider says": {func(c *keys.IDClaims) { c.ACR, c.AMR, c.AccessToken = "urn:x:gold", []string{"pwd", "otp"}, "token" },
			`{"iss":"https://id.example.org","sub":"alice-id","aud":"open","exp":1795438800,"iat":1795435200,"acr":"urn:x:gold","amr":["pwd","otp"],"at_hash":"PEaenWxYddN6Q_NT1PiOYQ"}`},
	} {
		id := keys.IDClaims{Issuer: issuer, Subject: "alice-id", ClientID: "open", IssuedAt: start, ExpiresAt: start.Add(time.Hour)}
		c.edit(&id)
		token, err := r.SignID("example", id)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		header, payload := parts(t, token)
		if want := map[string]any{"typ": "JWT", "alg": "RS256", "kid": r.id.id}; !maps.Equal(object(t, header), want) {
			t.Errorf("%s: header %s, want %v", name, header, want)
		}
		if payload != c.want {
			t.Errorf("%s: payload\n got %s\nwant %s", name, payload, c.want)
		}
	}
}

// TestR8SignNeedsAKey: none for another tenant, algorithm or server.
func TestR8SignNeedsAKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addServer(t, "dav.example.org")
	one := claims()
	one.Audience = []string{"dav.example.org"}
	strange := one
	strange.Audience = []string{"imap.example.org"}
	for name, c := range map[string]struct {
		tenant, profile, algorithm string
		claims                     oidc.Claims
	}{
		"unknown tenant":             {"nobody", oidc.ProfileRFC9068, keys.ES256, claims()},
		"unknown algorithm":          {"example", oidc.ProfileRFC9068, "EdDSA", claims()},
		"no algorithm":               {"example", oidc.ProfileRFC9068, "", claims()},
		"alg none":                   {"example", oidc.ProfileRFC9068, "none", claims()},
		"HS256":                      {"example", oidc.ProfileDovecot, "HS256", claims()},
		"Cyrus, another server":      {"example", oidc.ProfileCyrus, keys.RS256, strange},
		"Cyrus, another tenant":      {"other", oidc.ProfileCyrus, keys.RS256, one},
		"Cyrus, ES256":               {"example", oidc.ProfileCyrus, keys.ES256, one},
		"Cyrus, a name with a colon": {"example", oidc.ProfileCyrus, keys.RS256, oidc.Claims{Audience: []string{"server:dav.example.org"}, Username: "alice"}},
	} {
		if token, err := r.Sign(c.tenant, profile(t, c.profile), c.algorithm, c.claims); !errors.Is(err, keys.ErrNoKey) || token != "" {
			t.Errorf("%s: token %q, error %v, want ErrNoKey", name, token, err)
		}
		if id, err := r.SigningKey(c.tenant, profile(t, c.profile), c.algorithm, c.claims); !errors.Is(err, keys.ErrNoKey) || id != "" {
			t.Errorf("%s: key %q, error %v, want ErrNoKey", name, id, err)
		}
	}
	if _, err := r.SignID("nobody", keys.IDClaims{}); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("ID token of an unknown tenant: %v, want ErrNoKey", err)
	}
}

// TestR7SignRefusesWhatHasNoForm: what a profile cannot say is not left out of a token.
func TestR7SignRefusesWhatHasNoForm(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addServer(t, "dav.example.org")
	one := claims()
	one.Audience = []string{"dav.example.org"}
	bound, nobody := one, one
	bound.Key, nobody.Username = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", ""
	cyrus, dovecot := profile(t, oidc.ProfileCyrus), profile(t, oidc.ProfileDovecot)
	if _, err := r.Sign("example", cyrus, keys.RS256, one); err != nil {
		t.Fatalf("what is refused below only because of one thing: %v", err)
	}
	type row struct {
		profile   oidc.Profile
		algorithm string
		claims    oidc.Claims
	}
	rows := map[string]row{
		"no profile":                {oidc.Profile{}, keys.ES256, one},
		"a name alone":              {oidc.Profile{Name: "rfc9068"}, keys.ES256, one},
		"another type":              {oidc.Profile{Name: "own", Type: "at+JWT"}, keys.ES256, one},
		"the type of answers":       {oidc.Profile{Name: "own", Type: "token-introspection+jwt"}, keys.ES256, one},
		"opaque":                    {profile(t, oidc.ProfileOpaque), keys.ES256, one},
		"opaque with a type":        {oidc.Profile{Name: "own", Type: oidc.TypeJWT, Opaque: true}, keys.ES256, one},
		"Dovecot, bound":            {dovecot, keys.ES256, bound},
		"Cyrus, bound":              {cyrus, keys.RS256, bound},
		"Cyrus, nobody":             {cyrus, keys.RS256, nobody},
		"Cyrus, several servers":    {cyrus, keys.RS256, claims()},
		"Cyrus, no server":          {cyrus, keys.RS256, oidc.Claims{Username: "alice"}},
		"another user as the scope": {oidc.Profile{Name: "own", Type: oidc.TypeJWT, UserClaim: "scope"}, keys.ES256, one},
	}
	for _, claim := range []string{"sub", "Sub", "AUD", "iss", "exp", "nonce", "at_hash", "cnf", "ſub", "token_introspection", "preferred_username"} {
		rows["the login name as "+claim] = row{oidc.Profile{Name: "own", Type: oidc.TypeJWT, UserClaim: claim}, keys.ES256, one}
	}
	for name, c := range rows {
		if token, err := r.Sign("example", c.profile, c.algorithm, c.claims); !errors.Is(err, keys.ErrProfile) || token != "" {
			t.Errorf("%s: token %q, error %v, want ErrProfile", name, token, err)
		}
	}
}

// saslLine is the line that a mail client sends, end of line included: RFC 7628,
// section 3.1 for OAUTHBEARER; XOAUTH2 is its forerunner.
func saslLine(mechanism, address, host string, port int, token string) string {
	message := fmt.Sprintf("user=%s\x01auth=Bearer %s\x01\x01", address, token)
	if mechanism == "OAUTHBEARER" {
		message = fmt.Sprintf("n,a=%s,\x01host=%s\x01port=%d\x01auth=Bearer %s\x01\x01", address, host, port, token)
	}
	return "AUTH " + mechanism + " " + base64.StdEncoding.EncodeToString([]byte(message)) + "\r\n"
}

// TestR9AuthLineFits: Dovecot's submission takes about 1,000 bytes in the line that holds
// the token. Names are long, yet of real length.
func TestR9AuthLineFits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const scope = "urn:ietf:params:oauth:scope:mail"
	address := strings.Repeat("a", 40-len("@example-organisation.example")) + "@example-organisation.example"
	if len(address) != 40 {
		t.Fatalf("the address has %d characters, want 40", len(address))
	}
	for host, port := range map[string]int{"submission.example-organisation.example": 465, "managesieve.example-organisation.example": 4190} {
		token := r.sign(t, oidc.ProfileDovecot, keys.ES256, oidc.Claims{
			Issuer: "https://id.example-organisation.example", Subject: strings.Repeat("s", 22), Audience: []string{host},
			ExpiresAt: start.Add(15 * time.Minute), IssuedAt: start, ID: strings.Repeat("j", 11), Scope: scope,
			ClientID: strings.Repeat("c", 404), GrantID: strings.Repeat("g", 11), Username: address,
		})
		for _, mechanism := range []string{"XOAUTH2", "OAUTHBEARER"} {
			line := saslLine(mechanism, address, host, port, token)
			t.Logf("%s to %s: token %d bytes, line %d bytes", mechanism, host, len(token), len(line))
			if len(line) > 1000 {
				t.Errorf("%s to %s: the line has %d bytes, want at most 1,000", mechanism, host, len(line))
			}
		}
	}
}

// TestR8IDTokenAlgorithm: RS256 unless the client asked for another one.
func TestR8IDTokenAlgorithm(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for asked, want := range map[string]map[string]any{
		"":         {"typ": "JWT", "alg": "RS256", "kid": r.id.id},
		keys.RS256: {"typ": "JWT", "alg": "RS256", "kid": r.id.id},
		keys.ES256: {"typ": "JWT", "alg": "ES256", "kid": r.idES.id},
	} {
		header, _ := parts(t, r.signID(t, func(c *keys.IDClaims) { c.Algorithm = asked }))
		if got := object(t, header); !maps.Equal(got, want) {
			t.Errorf("%q: header %v, want %v", asked, got, want)
		}
	}
	for _, algorithm := range []string{"none", "HS256", "PS256", "EdDSA"} {
		if token, err := r.SignID("example", idClaims(func(c *keys.IDClaims) { c.Algorithm = algorithm })); !errors.Is(err, keys.ErrNoKey) || token != "" {
			t.Errorf("%s: %q, %v, want ErrNoKey", algorithm, token, err)
		}
	}
}
