package tokens_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/seal"
	"signpost/oidc"
	"signpost/oidc/keys"
	"signpost/oidc/tokens"
)

func TestOpaqueTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	seen := map[string]bool{}
	for range 100 {
		token := r.make(t, oidc.ProfileOpaque, "", claims())
		if !regexp.MustCompile(`^spt_[A-Za-z0-9_-]{43}$`).MatchString(token) || seen[token] {
			t.Fatalf("token %q: want one of its own, spt_ and 43 characters", token)
		}
		seen[token] = true
	}
	for name, want := range map[string]oidc.Claims{"broad": claims(), "narrow": narrow()} {
		token := r.make(t, oidc.ProfileOpaque, keys.ES256, want)
		for replica, verify := range map[string]*tokens.Tokens{"the one that made it": r.Tokens, "another": r.second} {
			got, err := verify.Verify(t.Context(), "example", issuer, token)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s: %v\n got %+v\nwant %+v", name, replica, err, got, want)
			}
		}
	}
	for name, life := range r.shelf.lives {
		if want := claims().ExpiresAt.Sub(start); life > want {
			t.Errorf("%s is kept for %v, want at most %v", name, life, want)
		}
	}
}

// TestR25ReadingTheCacheTellsNothing: neither names nor values hold the token or anything it says.
func TestR25ReadingTheCacheTellsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := claims()
	token := r.make(t, oidc.ProfileOpaque, "", c)
	subject := r.make(t, oidc.ProfileRFC9068, keys.ES256, c)
	made, err := r.MakeFrom(t.Context(), "example", profile(t, oidc.ProfileRFC9068), keys.RS256, narrow(), subject)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.shelf.entries) != 2 {
		t.Fatalf("kept are %v, want an opaque token and a minted one", r.shelf.names(""))
	}
	secrets := []string{token, token[4:], subject, made.Token, c.Subject, c.Username, c.GrantID, c.Key, c.ID, "imap.example.org", issuer, "offline_access"}
	for _, jwt := range []string{subject, made.Token} {
		secrets = append(secrets, strings.Split(jwt, ".")...)
	}
	for name, value := range r.shelf.entries {
		for _, secret := range secrets {
			for form, text := range map[string]string{
				"as it is": secret, "base64": base64.StdEncoding.EncodeToString([]byte(secret)), "base64url": base64.RawURLEncoding.EncodeToString([]byte(secret)),
			} {
				if strings.Contains(name, text) || bytes.Contains(value, []byte(text)) {
					t.Errorf("entry %s tells %q, %s", name, secret, form)
				}
			}
		}
	}
}

// TestR25WritingTheCachePlantsNothing: entries that were moved, changed or made by somebody
// else, the key of sealing apart, are none.
func TestR25WritingTheCachePlantsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	mine, yours := claims(), claims()
	mine.Subject, yours.Subject = "mine", "yours"
	token := r.make(t, oidc.ProfileOpaque, "", mine)
	name := r.shelf.names("opaque:1:example:")[0]
	good := r.shelf.entries[name]
	r.make(t, oidc.ProfileOpaque, "", yours)
	var stranger []byte
	for other, value := range r.shelf.entries {
		if other != name {
			stranger = value
		}
	}
	text := []byte(`{"Issuer":"` + issuer + `","Subject":"planted","Audience":["a"],"ExpiresAt":"2027-01-01T00:00:00Z"}`)
	box, err := seal.New(bytes.Repeat([]byte{8}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	anotherKey, err := box.SealWith("opaque-token", []byte(name+" "+token), text)
	if err != nil {
		t.Fatal(err)
	}
	anotherPurpose, err := r.box.SealWith("minted-token", []byte(name+" "+token), text)
	if err != nil {
		t.Fatal(err)
	}
	tokenAlone, err := r.box.SealWith("opaque-token", []byte(token), text)
	if err != nil {
		t.Fatal(err)
	}
	for what, value := range map[string][]byte{
		"another token's": stranger, "nothing": {}, "text": text, "cut short": good[:len(good)-1], "longer": append(slices.Clone(good), 0),
		"sealed by another key": anotherKey, "sealed for something else": anotherPurpose, "sealed for another name": tokenAlone,
	} {
		r.shelf.entries[name] = value
		r.wantRefused(t, what, "example", issuer, token, keys.ErrInvalid)
	}
	for at := range good {
		changed := slices.Clone(good)
		changed[at] ^= 1
		r.shelf.entries[name] = changed
		r.wantRefused(t, fmt.Sprintf("byte %d changed", at), "example", issuer, token, keys.ErrInvalid)
	}
	// The entry, put under the same token's name in another tenant: it opens nowhere else.
	r.shelf.entries[name] = good
	elsewhere := strings.Replace(name, ":example:", ":other:", 1)
	r.shelf.entries[elsewhere] = good
	r.wantRefused(t, "moved to another tenant", "other", issuer, token, keys.ErrInvalid)
	r.wantRefused(t, "moved to another tenant", "other", foreign, token, keys.ErrInvalid)
	if got := r.taken(t, token).Subject; got != "mine" {
		t.Errorf("it is %q, want mine", got)
	}
}

// TestR26EntryThatStaysTooLong: somebody keeps it in the cache; it is over all the same.
func TestR26EntryThatStaysTooLong(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token := r.make(t, oidc.ProfileOpaque, "", narrow())
	r.now = narrow().ExpiresAt
	r.wantRefused(t, "at its end", "example", issuer, token, keys.ErrExpired)
}

// TestR26CacheAwaySaysNothingAgainstAToken, nor for it.
func TestR26CacheAwaySaysNothingAgainstAToken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token, signed := r.make(t, oidc.ProfileOpaque, "", claims()), r.make(t, oidc.ProfileRFC9068, keys.ES256, claims())
	r.shelf.away = true
	r.wantRefused(t, "away", "example", issuer, token, tokens.ErrUnavailable)
	r.taken(t, signed)
	made, err := r.Make(t.Context(), "example", profile(t, oidc.ProfileOpaque), "", claims())
	if !errors.Is(err, tokens.ErrUnavailable) || !errors.Is(err, errAway) || made != (tokens.Made{}) {
		t.Errorf("made %+v, %v while the cache is away, want ErrUnavailable", made, err)
	}
	r.make(t, oidc.ProfileRFC9068, keys.ES256, claims())
	r.shelf.away = false
	r.taken(t, token)
	// What was checked is known without the cache.
	r.shelf.away = true
	r.taken(t, token)
	r.now = start.Add(time.Minute)
	r.wantRefused(t, "away for a minute", "example", issuer, token, tokens.ErrUnavailable)
	for _, text := range []string{"spt_", "spt_" + strings.Repeat("A", 42), "spt_" + strings.Repeat("A", 44), "x", ""} {
		r.wantRefused(t, "no token by its length", "example", issuer, text, keys.ErrInvalid)
	}
}

// TestMakePassesOnRefusals of oidc/keys: a profile in which the claims have no form, no key.
func TestMakePassesOnRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, c := range map[string]struct {
		tenant, algorithm string
		profile           oidc.Profile
		want              error
	}{
		"no profile":   {"example", keys.ES256, oidc.Profile{}, keys.ErrProfile},
		"bound":        {"example", keys.ES256, profile(t, oidc.ProfileDovecot), keys.ErrProfile},
		"no algorithm": {"example", "", profile(t, oidc.ProfileRFC9068), keys.ErrNoKey},
		"no tenant":    {"nobody", keys.ES256, profile(t, oidc.ProfileRFC9068), keys.ErrNoKey},
	} {
		for how, make := range map[string]func() (tokens.Made, error){
			"Make": func() (tokens.Made, error) { return r.Make(t.Context(), c.tenant, c.profile, c.algorithm, claims()) },
			"MakeFrom": func() (tokens.Made, error) {
				return r.MakeFrom(t.Context(), c.tenant, c.profile, c.algorithm, claims(), "s")
			},
		} {
			if made, err := make(); !errors.Is(err, c.want) || made != (tokens.Made{}) {
				t.Errorf("%s, %s: %+v, %v, want %v", name, how, made, err, c.want)
			}
		}
	}
}

// TestR9OpaqueTokensFitTheLine that Dovecot's submission takes, whatever they stand for.
func TestR9OpaqueTokensFitTheLine(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := claims()
	c.Issuer, c.Scope = "https://id.example-organisation.example/t/department-of-long-names", strings.Repeat("urn:ietf:params:oauth:scope:mail ", 40)
	token := r.make(t, oidc.ProfileOpaque, "", c)
	address := strings.Repeat("a", 64) + "@" + strings.Repeat("b", 60) + ".example"
	for mechanism, message := range map[string]string{
		"XOAUTH2":     fmt.Sprintf("user=%s\x01auth=Bearer %s\x01\x01", address, token),
		"OAUTHBEARER": fmt.Sprintf("n,a=%s,\x01host=submission.example-organisation.example\x01port=465\x01auth=Bearer %s\x01\x01", address, token),
	} {
		line := "AUTH " + mechanism + " " + base64.StdEncoding.EncodeToString([]byte(message)) + "\r\n"
		if len(line) > 1000 {
			t.Errorf("%s: the line has %d bytes, want at most 1,000", mechanism, len(line))
		}
	}
}
