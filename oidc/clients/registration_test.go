package clients_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"signpost/directory"
	"signpost/internal/seal"
	"signpost/oidc"
	"signpost/oidc/clients"
)

// example is a registration as draft-ietf-mailmaint-oauth-public wants it, with members that nobody here reads.
const example = `{
	"redirect_uris": ["http://127.0.0.1/", "http://[::1]/", "com.example.mail:/redirect"],
	"token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
	"scope": "openid offline_access urn:example:unknown", "client_name": "Example Mail",
	"client_uri": "https://mail.example.com", "logo_uri": 17, "software_id": "4b3b7e0c-2c39-4d0e-93a7-0d5f1f4f5d11", "software_version": "1.0",
	"x_unknown": {"a": [1]}}`

func register(t testing.TB, c *clients.Clients, r *directory.Realm, body string) clients.Registration {
	t.Helper()
	a, err := c.Register(t.Context(), r, []byte(body))
	if err != nil {
		t.Fatalf("Register(%s): %v", body, err)
	}
	return a
}

func redirects(uris ...string) string {
	b, err := json.Marshal(map[string]any{"redirect_uris": uris})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestRFC7591RegistrationAnswersWithEverythingRegistered(t *testing.T) {
	t.Parallel()
	c, r := newRig(t), realm(t, "example", nil)
	a := register(t, c.Clients, r, example)
	body, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if id, _ := got["client_id"].(string); !strings.HasPrefix(id, "reg_") || len(id) > 400 {
		t.Errorf("client_id %v, want one of at most 400 characters", got["client_id"])
	}
	delete(got, "client_id")
	want := map[string]any{
		"redirect_uris":              []any{"http://127.0.0.1/", "http://[::1]/", "com.example.mail:/redirect"},
		"token_endpoint_auth_method": "none", "response_types": []any{"code"}, "scope": "openid offline_access", "client_name": "Example Mail",
		"grant_types": []any{oidc.GrantTypeAuthorizationCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeTokenExchange},
		"software_id": "4b3b7e0c-2c39-4d0e-93a7-0d5f1f4f5d11", "application_type": "native", "dpop_bound_access_tokens": false,
	}
	if gotJSON, wantJSON := fmt.Sprint(got), fmt.Sprint(want); gotJSON != wantJSON {
		t.Errorf("registered\n%s\nwant\n%s", gotJSON, wantJSON)
	}
	found := find(t, c.Clients, r, a.ClientID)
	if found.Kind != clients.Registered || found.Name != "Example Mail" || found.SoftwareID != a.SoftwareID ||
		!slices.Equal(found.RedirectURIs, a.RedirectURIs) || found.Authentication != oidc.AuthNone || found.DPoPBound || len(found.Registration) == 0 {
		t.Errorf("found %+v, want what was registered", found)
	}
}

func TestRFC7591WithoutAMethodIsAPublicClient(t *testing.T) {
	t.Parallel()
	c, r := newRig(t), realm(t, "example", nil)
	a := register(t, c.Clients, r, redirects("http://127.0.0.1/"))
	if a.Authentication != oidc.AuthNone || a.Scope != r.Supported().String() {
		t.Errorf("registered %+v, want method none and every scope there is", a)
	}
	bound := register(t, c.Clients, r, `{"redirect_uris":["http://127.0.0.1/"],"dpop_bound_access_tokens":true}`)
	if !bound.DPoPBound || !find(t, c.Clients, r, bound.ClientID).DPoPBound {
		t.Errorf("registered %+v, want dpop_bound_access_tokens kept (RFC 9449, section 5.2)", bound)
	}
}

func TestRFC7591RegistrationErrors(t *testing.T) {
	t.Parallel()
	c, r := newRig(t), realm(t, "example", nil)
	with := func(member string) string { return `{"redirect_uris":["http://127.0.0.1/"],` + member + `}` }
	for name, body := range map[string]string{
		"nothing": "", "no JSON": "redirect_uris=x", "a list": `["http://127.0.0.1/"]`, "null": "null", "a text": `"x"`, "cut short": `{"redirect_uris":["http://127.0.0.1/"]`,
		"two objects":           redirects("http://127.0.0.1/") + redirects("http://127.0.0.1/"),
		"a member twice":        with(`"client_name":"a","client_name":"b"`),
		"a name that is none":   with(`"client_name":7`),
		"redirects are a text":  `{"redirect_uris":"http://127.0.0.1/"}`,
		"a secret by Basic":     with(`"token_endpoint_auth_method":"client_secret_basic"`),
		"a secret by form":      with(`"token_endpoint_auth_method":"client_secret_post"`),
		"keys":                  with(`"token_endpoint_auth_method":"private_key_jwt"`),
		"implicit":              with(`"grant_types":["implicit"]`),
		"an ID token alone":     with(`"response_types":["id_token"]`),
		"a malformed scope":     with(`"scope":"openid  profile"`),
		"unknown scopes":        with(`"scope":"urn:example:unknown"`),
		"a software id in two":  with(`"software_id":"a b"`),
		"a long software id":    with(`"software_id":"` + strings.Repeat("a", 101) + `"`),
		"a software id in Thai": with(`"software_id":"ก"`),
		"too much for an id":    redirects("com.example.one:/"+strings.Repeat("a", 150), "com.example.two:/"+strings.Repeat("b", 150)),
	} {
		_, err := c.Register(t.Context(), r, []byte(body))
		wantCode(t, err, oidc.CodeInvalidClientMetadata, name)
	}
	for _, body := range []string{`{}`, `{"redirect_uris":[]}`, `{"Redirect_URIs":["http://127.0.0.1/"]}`, redirects("http://127.0.0.1/", "https://example.com/")} {
		_, err := c.Register(t.Context(), r, []byte(body))
		wantCode(t, err, oidc.CodeInvalidRedirectURI, body)
	}
}

func TestOAuthPublicRegistrationRedirectURIs(t *testing.T) {
	t.Parallel()
	c, r := newRig(t), realm(t, "example", nil)
	for _, uri := range []string{
		"http://127.0.0.1/", "http://127.0.0.1:8080/cb", "http://[::1]/", "http://[::1]:1/a/b",
		"com.example:/", "com.example:/cb", "com.example.mail-1:/a/b", "org.example2.x:/oauth",
	} {
		a := register(t, c.Clients, r, redirects(uri))
		if !find(t, c.Clients, r, a.ClientID).RedirectAllowed(uri) {
			t.Errorf("%s was registered and is not allowed", uri)
		}
	}
	for _, uri := range []string{
		"", "https://example.com/cb", "https://127.0.0.1/", "http://example.com/", "http://localhost/", "http://localhost:1/cb", "http://127.0.0.1", "http://127.0.0.1.evil.test/",
		"http://127.0.0.1/../x", "http://127.0.0.1/#x", "http://127.0.0.1/?x", "http://x@127.0.0.1/", "http://127.0.0.1:80@evil.test/", "http://127.0.0.2/", "http://[::2]/",
		"example:/cb", "oc://android.opencloud.eu", "com.example://cb", "com.example:///cb", "com.example:cb", "com.example:", "com.example:/..", "com.example:/a/../b", "com.example:/a/./b",
		"com.example:/#x", "com.example:/a#", "com.example:/a?b=c", "com.example:/%2e%2e/", `com.example:/\evil`, "com.example:/a b", "com.example:/\n", "Com.example:/cb", "COM.EXAMPLE:/cb",
		"com..example:/cb", ".com.example:/cb", "com.example.:/cb", "1com.example:/cb", "-com.example:/cb", "com.-example:/cb", "com.ex_ample:/cb", "com.exämple:/cb", "com.example+x:/cb",
		" com.example:/cb", "com.example:/cb ", "javascript:/alert.x", "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "urn:ietf:wg:oauth:2.0:oob", "//evil.test/", "/cb",
		"com.example:/" + strings.Repeat("a", 512),
	} {
		_, err := c.Register(t.Context(), r, []byte(redirects(uri)))
		wantCode(t, err, oidc.CodeInvalidRedirectURI, fmt.Sprintf("redirect URI %q", uri))
	}
}

func TestR14SameRegistrationSameID(t *testing.T) {
	t.Parallel()
	c, r := newRig(t), realm(t, "example", nil)
	first := register(t, c.Clients, r, example).ClientID
	for range 3 {
		if again := register(t, c.Clients, r, example).ClientID; again != first {
			t.Fatalf("the same registration got %s and %s", first, again)
		}
	}
	// Another version of the program is the same registration; another name is not.
	if other := register(t, c.Clients, r, strings.Replace(example, `"1.0"`, `"2.0"`, 1)).ClientID; other != first {
		t.Error("software_version makes another id")
	}
	if other := register(t, c.Clients, r, strings.Replace(example, "Example Mail", "Example Post", 1)).ClientID; other == first {
		t.Error("another name has the same id")
	}
	if other := register(t, c.Clients, realm(t, "other", nil), example).ClientID; other == first {
		t.Error("another tenant gives the same id")
	}
}

// TestR14AFloodStoresNothing: a thousand registrations leave store and cache untouched.
func TestR14AFloodStoresNothing(t *testing.T) {
	t.Parallel()
	c, r := newRig(t), realm(t, "example", nil)
	ids := map[string]bool{}
	for i := range 1000 {
		ids[register(t, c.Clients, r, redirects(fmt.Sprintf("http://127.0.0.1/%d", i))).ClientID] = true
	}
	if len(ids) != 1000 || c.rows.asked != 0 || len(c.rows.kept) != 0 || c.cache.used != 0 {
		t.Errorf("%d ids, store asked %d times and keeps %d, cache used %d times; want 1000 and nothing else", len(ids), c.rows.asked, len(c.rows.kept), c.cache.used)
	}
}

func TestR14IDsOfOthersAreUnknown(t *testing.T) {
	t.Parallel()
	c, r := newRig(t), realm(t, "example", nil)
	id := register(t, c.Clients, r, example).ClientID
	sealed, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(id, "reg_"))
	if err != nil {
		t.Fatal(err)
	}
	for at := range sealed {
		changed := bytes.Clone(sealed)
		changed[at] ^= 1
		unknown(t, c.Clients, r, "reg_"+base64.RawURLEncoding.EncodeToString(changed))
	}
	unknown(t, c.Clients, realm(t, "other", nil), id)
	for _, other := range []string{"reg_", "reg", id + "A", id[:len(id)-1], id + "=", id + "\n", "\n" + id, "reg_\n" + id[4:], " " + id, "REG_" + id[4:], strings.Repeat("reg_AAAA", 200)} {
		unknown(t, c.Clients, r, other)
	}
}

func unknown(t testing.TB, c *clients.Clients, r *directory.Realm, id string) {
	t.Helper()
	if found, err := c.Find(t.Context(), r, id); !errors.Is(err, clients.ErrUnknown) {
		t.Errorf("Find(%.60q) = %+v, %v; want ErrUnknown", id, found, err)
	}
}

// TestR14TheRowDecides: from the first grant on an id lives as long as its row, even
// without the key that made it.
func TestR14TheRowDecides(t *testing.T) {
	t.Parallel()
	c, r := newRig(t), realm(t, "example", nil)
	id := register(t, c.Clients, r, example).ClientID
	first := find(t, c.Clients, r, id)
	c.rows.keep("example", id, first.Registration)

	other, err := seal.New(key(2))
	if err != nil {
		t.Fatal(err)
	}
	c.Sealer = other
	kept := find(t, c.Clients, r, id)
	if !slices.Equal(kept.RedirectURIs, first.RedirectURIs) || kept.Name != first.Name || !bytes.Equal(kept.Registration, first.Registration) {
		t.Errorf("by its row %+v, by its id %+v", kept, first)
	}
	unknown(t, c.Clients, realm(t, "other", nil), id)
	c.rows.keep("example", id, []byte(`{"r":["com.example.other:/"]}`))
	if got := find(t, c.Clients, r, id).RedirectURIs; !slices.Equal(got, []string{"com.example.other:/"}) {
		t.Errorf("redirect URIs %v, want those of the row", got)
	}
	c.rows.keep("example", id, []byte(`{`))
	unknown(t, c.Clients, r, id)
	c.rows.err = errors.New("away")
	if _, err := c.Find(t.Context(), r, id); !errors.Is(err, clients.ErrUnavailable) {
		t.Errorf("without the store: %v, want ErrUnavailable", err)
	}
}

// TestR14ValidAcrossKeyRotation: what the old key sealed is known while that key is kept.
func TestR14ValidAcrossKeyRotation(t *testing.T) {
	t.Parallel()
	c, r := newRig(t), realm(t, "example", nil)
	id := register(t, c.Clients, r, example).ClientID
	both, err := seal.New(key(2), key(1))
	if err != nil {
		t.Fatal(err)
	}
	c.Sealer = both
	if got := find(t, c.Clients, r, id); got.Name != "Example Mail" {
		t.Errorf("found %+v after the rotation", got)
	}
}

func TestR14ATypicalRegistrationFits(t *testing.T) {
	t.Parallel()
	c, r := newRig(t), realm(t, "example", nil)
	long := fmt.Sprintf(`{"redirect_uris":["http://127.0.0.1/oauth2/callback","http://[::1]/oauth2/callback","org.example.groupware.mobile:/oauth2/callback"],
		"client_name":%q,"software_id":"4b3b7e0c-2c39-4d0e-93a7-0d5f1f4f5d11","dpop_bound_access_tokens":true}`, strings.Repeat("n", 60))
	if a := register(t, c.Clients, r, long); len(a.ClientID) > 400 {
		t.Errorf("the id has %d characters", len(a.ClientID))
	}
}

func TestOAuthPublicRegistrationNames(t *testing.T) {
	t.Parallel()
	c, r := newRig(t), realm(t, "example", nil)
	for name, want := range map[string]string{
		"Example Mail": "Example Mail", "  a \t\n b ": "a b", "a\u202eb\u2066c\u200bd\ufeffe": "abcde", "a\x00\x1b[31mb": "a[31mb", "Grüße, 日本": "Grüße, 日本",
		"\u00a0x\u2028y\u3000": "x y", strings.Repeat("ä", 100): strings.Repeat("ä", 60), "\u202e": "", "<b>": "<b>",
	} {
		body, err := json.Marshal(map[string]any{"redirect_uris": []string{"com.example:/"}, "client_name": name})
		if err != nil {
			t.Fatal(err)
		}
		if got := register(t, c.Clients, r, string(body)).ClientName; got != want {
			t.Errorf("client_name %q became %q, want %q", name, got, want)
		}
	}
}

// FuzzClientID: whatever is no id of ours is unknown, and what is has one spelling.
func FuzzClientID(f *testing.F) {
	c, r := newRig(f), realm(f, "example", nil)
	good := register(f, c.Clients, r, example).ClientID
	for _, id := range []string{good, good + "\n", good[:len(good)-1] + "B", "reg_", "reg_AQ", "open", "https://example.com/x", "thunderbird", "", "reg_\xff"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		found, err := c.Find(t.Context(), r, id)
		if err != nil {
			return
		}
		if found.ID != id {
			t.Errorf("%q found %q", id, found.ID)
		}
		if found.Kind != clients.Registered {
			return
		}
		sealed, err := c.Sealer.SealSame("registration", found.Registration, []byte("1 example"))
		if again := "reg_" + base64.RawURLEncoding.EncodeToString(sealed); err != nil || again != id {
			t.Errorf("%q was taken, and its data make %q (%v)", id, again, err)
		}
	})
}

// FuzzRegistration: what registers is found again as it was answered.
func FuzzRegistration(f *testing.F) {
	c, r := newRig(f), realm(f, "example", nil)
	f.Add([]byte(example))
	f.Add([]byte(redirects("com.example:/cb")))
	f.Add([]byte(`{"redirect_uris":["com.example:/&<>"],"client_name":"\ud800"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := c.Register(t.Context(), r, body)
		if err != nil {
			if oidc.CodeOf(err) == "" {
				t.Errorf("%q: %v, want an error of the protocol", body, err)
			}
			return
		}
		found := find(t, c.Clients, r, a.ClientID)
		if len(a.ClientID) > 400 || !slices.Equal(found.RedirectURIs, a.RedirectURIs) || found.Name != a.ClientName || found.SoftwareID != a.SoftwareID || found.DPoPBound != a.DPoPBound {
			t.Errorf("%q: answered %+v, found %+v", body, a, found)
		}
	})
}
