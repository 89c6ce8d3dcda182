package keys_test

import (
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"signpost/oidc"
	"signpost/oidc/keys"
)

// signText signs header and payload as they are written.
func (r *rig) signText(t testing.TB, k kept, header, payload string) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(header)) + "." + encode([]byte(payload))
	method := jwt.SigningMethod(jwt.SigningMethodRS256)
	if _, ok := k.signer.(*ecdsa.PrivateKey); ok {
		method = jwt.SigningMethodES256
	}
	signature, err := method.Sign(text, k.signer)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + encode(signature)
}

// payload is that of a good access token, as JSON; edit changes it.
func payload(t testing.TB, edit func(jwt.MapClaims)) string {
	t.Helper()
	text, err := json.Marshal(body(edit))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// withAlso adds members before and behind those of an object.
func withAlso(object, before, behind string) string {
	return "{" + before + strings.TrimSuffix(strings.TrimPrefix(object, "{"), "}") + behind + "}"
}

// TestRFC7515Section4_1_11Critical: who does not understand an extension that must be understood
// refuses it, and an empty list or one of things that everybody knows is none.
func TestRFC7515Section4_1_11Critical(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id, err := r.SignID("example", keys.IDClaims{Issuer: issuer, Subject: "s", ClientID: "open", IssuedAt: start, ExpiresAt: start.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	_, idPayload := parts(t, id)
	for name, extra := range map[string]string{
		"none": ``, "another name": `,"http://example.com/x":true`,
		"b64": `,"crit":["b64"],"b64":false`, "unknown": `,"crit":["http://example.com/x"],"http://example.com/x":true`,
		"known": `,"crit":["alg"]`, "empty": `,"crit":[]`, "null": `,"crit":null`, "text": `,"crit":"alg"`, "another case": `,"Crit":["b64"]`,
	} {
		header := fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"at+jwt"%s}`, r.access.id, extra)
		good := !strings.Contains(strings.ToLower(extra), "crit")
		token := r.signText(t, r.access, header, payload(t, nil))
		if good {
			if _, err := r.Verify("example", issuer, token); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else {
			wantInvalid(t, r, name, token)
		}
		hint := r.signText(t, r.id, fmt.Sprintf(`{"alg":"RS256","kid":%q,"typ":"JWT"%s}`, r.id.id, extra), idPayload)
		if _, err := r.VerifyHint("example", issuer, hint); (err == nil) != good {
			t.Errorf("%s, of an ID token: %v, want it taken: %v", name, err, good)
		}
	}
}

// TestRFC7519Section7_3NamesAreComparedExactly, and RFC 7519, section 4: names are unique. Whatever reads one of
// two, or a name in another case, would not read what we read.
func TestRFC7519Section7_3NamesAreComparedExactly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	header := fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"at+jwt"}`, r.access.id)
	good := payload(t, func(m jwt.MapClaims) { m["cnf"] = map[string]any{"jkt": "thumb", "x5t#S256": "x"} })
	for _, text := range []string{good, withAlso(good, `"groups":["a"],"Name":"x",`, `,"name":"y"`)} {
		if c, err := r.Verify("example", issuer, r.signText(t, r.access, header, text)); err != nil || c.Key != "thumb" {
			t.Fatalf("%s: %+v, %v, want it taken", text, c, err)
		}
	}
	for _, member := range []string{
		`"typ":"at+jwt"`, `"Typ":"at+jwt"`, `"TYP":"JWT"`, `"alg":"ES256"`, `"ALG":"none"`, `"kid":"x"`, `"Kid":"x"`, `"\u212aid":"x"`, `"x":1,"x":1`,
	} {
		wantInvalid(t, r, "header with "+member+" before", r.signText(t, r.access, withAlso(header, member+",", ""), good))
		wantInvalid(t, r, "header with "+member+" behind", r.signText(t, r.access, withAlso(header, "", ","+member), good))
	}
	for name := range maps.Keys(object(t, good)) {
		for _, spelt := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
			for _, value := range []string{`"x"`, `null`, `1`, `{}`} {
				member := fmt.Sprintf("%q:%s", spelt, value)
				wantInvalid(t, r, member+" before", r.signText(t, r.access, header, withAlso(good, member+",", "")))
				wantInvalid(t, r, member+" behind", r.signText(t, r.access, header, withAlso(good, "", ","+member)))
			}
		}
		value, err := json.Marshal(object(t, good)[name])
		if err != nil {
			t.Fatal(err)
		}
		wantInvalid(t, r, name+" the same twice", r.signText(t, r.access, header, withAlso(good, "", fmt.Sprintf(",%q:%s", name, value))))
		upper := strings.Replace(good, `"`+name+`":`, `"`+strings.ToUpper(name)+`":`, 1)
		wantInvalid(t, r, name+" in capitals", r.signText(t, r.access, header, upper))
	}
	for _, member := range []string{`"NONCE":"n"`, `"i\u017fs":"x"`, `"At_Hash":"h"`, `"x":1,"x":2`} {
		wantInvalid(t, r, member, r.signText(t, r.access, header, withAlso(good, "", ","+member)))
	}
	for _, cnf := range []string{`{"JKT":"thumb"}`, `{"jkt":"thumb","JKT":"other"}`, `{"jkt":"thumb","jkt":"thumb"}`, `{}`, `[]`, `"thumb"`} {
		text := withAlso(payload(t, nil), `"cnf":`+cnf+`,`, "")
		wantInvalid(t, r, "cnf "+cnf, r.signText(t, r.access, header, text))
	}
	for _, text := range []string{`[]`, `null`, `""`, good + good, good + `,`, `{` + good, strings.TrimSuffix(good, "}")} {
		wantInvalid(t, r, text, r.signText(t, r.access, header, text))
		wantInvalid(t, r, "header "+text, r.signText(t, r.access, text, good))
	}
}

// TestRFC7519Section4_1_5NotBefore: what is not good yet is not taken, but for clocks that differ.
func TestRFC7519Section4_1_5NotBefore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	own := map[string]any{"typ": "at+jwt", "kid": r.access.id}
	for ahead, want := range map[time.Duration]error{
		-time.Hour: nil, 0: nil, time.Minute: nil, time.Minute + time.Second: keys.ErrInvalid, 50 * time.Minute: keys.ErrInvalid, 2 * time.Hour: keys.ErrInvalid,
	} {
		token := forge(t, jwt.SigningMethodES256, r.access.signer, own, body(func(m jwt.MapClaims) { m["nbf"] = start.Add(ahead).Unix() }))
		if _, err := r.Verify("example", issuer, token); !errors.Is(err, want) {
			t.Errorf("nbf in %v: %v, want %v", ahead, err, want)
		}
		if want != nil {
			wantInvalid(t, r, fmt.Sprintf("nbf in %v", ahead), token)
		}
	}
	wantInvalid(t, r, "nbf as text", forge(t, jwt.SigningMethodES256, r.access.signer, own, body(func(m jwt.MapClaims) { m["nbf"] = "0" })))
	for _, aud := range []any{[]any{nil}, "", []string{issuer, ""}} {
		wantInvalid(t, r, "audience of nobody", forge(t, jwt.SigningMethodES256, r.access.signer, own, body(func(m jwt.MapClaims) { m["aud"] = aud })))
	}
	dovecot := r.sign(t, oidc.ProfileDovecot, keys.ES256, claims()) // which says when it begins
	if _, err := r.Verify("example", issuer, dovecot); err != nil {
		t.Errorf("the token of a server that looks at nbf: %v", err)
	}
}
