package keys_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"signpost/oidc"
	"signpost/oidc/keys"
)

func TestSignedTokensVerify(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, profile := range []string{keys.ProfileRFC9068, keys.ProfileDovecot} {
		for _, algorithm := range []string{keys.ES256, keys.RS256} {
			want := claims()
			got, err := r.Verify("example", issuer, r.sign(t, profile, algorithm, want))
			if err != nil {
				t.Errorf("%s, %s: %v", profile, algorithm, err)
				continue
			}
			if profile == keys.ProfileDovecot {
				want.ClientID = ""
				want.IssuedAt = start.Add(-10 * time.Second)
			}
			got.ExpiresAt, got.IssuedAt = got.ExpiresAt.UTC(), got.IssuedAt.UTC()
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s:\n got %+v\nwant %+v", profile, algorithm, got, want)
			}
		}
	}
}

// TestR7ProfilesExactly compares whole headers and payloads, so that no claim
// comes or goes unseen. RFC 9068, section 2 asks for typ, iss, exp, aud, sub,
// client_id, iat and jti; what Dovecot takes is in its profile's comment.
func TestR7ProfilesExactly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one := claims()
	one.Audience = []string{"imap.example.org"}
	for name, c := range map[string]struct {
		profile, algorithm string
		claims             oidc.Claims
		header             map[string]any
		payload            string
	}{
		"rfc9068, broad": {
			keys.ProfileRFC9068, keys.ES256, claims(),
			map[string]any{"typ": "at+jwt", "alg": "ES256", "kid": r.access.id},
			`{"iss":"https://id.example.org","sub":"AAAAAAAAAAAAAAAAAAAAAA","aud":["https://id.example.org","https://dav.example.org/"],` +
				`"exp":1795438800,"iat":1795435200,"jti":"jjjjjjjjjjj","scope":"openid offline_access","client_id":"open","grant":"ggggggggggg","preferred_username":"alice@example.org"}`,
		},
		"rfc9068, RS256": {
			keys.ProfileRFC9068, keys.RS256, one,
			map[string]any{"typ": "at+jwt", "alg": "RS256", "kid": r.rsa.id},
			`{"iss":"https://id.example.org","sub":"AAAAAAAAAAAAAAAAAAAAAA","aud":"imap.example.org",` +
				`"exp":1795438800,"iat":1795435200,"jti":"jjjjjjjjjjj","scope":"openid offline_access","client_id":"open","grant":"ggggggggggg","preferred_username":"alice@example.org"}`,
		},
		"dovecot": {
			keys.ProfileDovecot, keys.ES256, one,
			map[string]any{"typ": "JWT", "alg": "ES256", "kid": r.access.id},
			`{"iss":"https://id.example.org","sub":"AAAAAAAAAAAAAAAAAAAAAA","aud":"imap.example.org",` +
				`"exp":1795438800,"iat":1795435190,"jti":"jjjjjjjjjjj","scope":"openid offline_access","grant":"ggggggggggg","preferred_username":"alice@example.org"}`,
		},
		"dovecot, without a login name": {
			keys.ProfileDovecot, keys.RS256, oidc.Claims{Issuer: issuer, Subject: "s", Audience: []string{"a"}, ExpiresAt: start, IssuedAt: start, ID: "j"},
			map[string]any{"typ": "JWT", "alg": "RS256", "kid": r.rsa.id},
			`{"iss":"https://id.example.org","sub":"s","aud":"a","exp":1795435200,"iat":1795435190,"jti":"j"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header, payload := parts(t, r.sign(t, c.profile, c.algorithm, c.claims))
			if got := object(t, header); !maps.Equal(got, c.header) {
				t.Errorf("header\n got %v\nwant %v", got, c.header)
			}
			if payload != c.payload {
				t.Errorf("payload\n got %s\nwant %s", payload, c.payload)
			}
			if len(c.header["kid"].(string)) > 11 {
				t.Errorf("kid %q is longer than 11 characters", c.header["kid"])
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

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, c := range map[string]struct{ tenant, profile, algorithm string }{
		"unknown tenant":    {"nobody", keys.ProfileRFC9068, keys.ES256},
		"unknown algorithm": {"example", keys.ProfileRFC9068, "EdDSA"},
		"no algorithm":      {"example", keys.ProfileRFC9068, ""},
		"alg none":          {"example", keys.ProfileRFC9068, "none"},
		"HS256":             {"example", keys.ProfileDovecot, "HS256"},
	} {
		if token, err := r.Sign(c.tenant, c.profile, c.algorithm, claims()); !errors.Is(err, keys.ErrNoKey) || token != "" {
			t.Errorf("%s: token %q, error %v, want ErrNoKey", name, token, err)
		}
	}
	for _, profile := range []string{"", "cyrus", "RFC9068"} {
		if token, err := r.Sign("example", profile, keys.ES256, claims()); err == nil || token != "" {
			t.Errorf("profile %q: token %q, error %v, want an error", profile, token, err)
		}
	}
	if _, err := r.SignID("nobody", keys.IDClaims{}); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("ID token of an unknown tenant: %v, want ErrNoKey", err)
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
		token := r.sign(t, keys.ProfileDovecot, keys.ES256, oidc.Claims{
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
