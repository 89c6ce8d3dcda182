package upstream

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func testClaims(t testing.TB, text string) claims {
	t.Helper()
	var c claims
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatalf("claims %s: %v", text, err)
	}
	return c
}

func TestR2TrustingAddresses(t *testing.T) {
	t.Parallel()
	verified, directory := TrustEmailVerified, TrustDirectory
	for name, c := range map[string]struct {
		trust, claim      string
		idToken, userinfo string
		want              []string
	}{
		"verified in the ID token":          {verified, "", `{"email":"a@example.com","email_verified":true}`, `{}`, []string{"a@example.com"}},
		"verified in userinfo":              {verified, "", `{}`, `{"email":"a@example.com","email_verified":true}`, []string{"a@example.com"}},
		"verified as a string":              {verified, "", `{"email":"a@example.com","email_verified":"true"}`, `{}`, []string{"a@example.com"}},
		"not verified":                      {verified, "", `{"email":"a@example.com","email_verified":false}`, `{}`, nil},
		"not verified, as a string":         {verified, "", `{"email":"a@example.com","email_verified":"false"}`, `{}`, nil},
		"verified as a number":              {verified, "", `{"email":"a@example.com","email_verified":1}`, `{}`, nil},
		"verified in capitals":              {verified, "", `{"email":"a@example.com","email_verified":"TRUE"}`, `{}`, nil},
		"verified null":                     {verified, "", `{"email":"a@example.com","email_verified":null}`, `{}`, nil},
		"nothing said":                      {verified, "", `{"email":"a@example.com"}`, `{"email":"a@example.com"}`, nil},
		"userinfo says what the token left": {verified, "", `{"email":"a@example.com"}`, `{"email":"a@example.com","email_verified":true}`, []string{"a@example.com"}},
		"one set's word, other's address":   {verified, "", `{"email":"a@example.com"}`, `{"email_verified":true}`, nil},
		"the other way round":               {verified, "", `{"email_verified":true}`, `{"email":"a@example.com"}`, nil},
		"the ID token's no comes first":     {verified, "", `{"email":"a@example.com","email_verified":false}`, `{"email":"a@example.com","email_verified":true}`, nil},
		"the ID token's address is first":   {verified, "", `{"email":"a@example.com","email_verified":true}`, `{"email":"b@example.com","email_verified":true}`, []string{"a@example.com"}},
		"another claim is not vouched for":  {verified, "mail", `{"mail":"b@example.com","email":"a@example.com","email_verified":true}`, `{}`, nil},
		"another claim, same address":       {verified, "mail", `{"mail":["b@example.com","a@example.com"],"email":"a@example.com","email_verified":true}`, `{}`, []string{"a@example.com"}},
		"directory":                         {directory, "", `{"email":"a@example.com"}`, `{}`, []string{"a@example.com"}},
		"directory, said to be unverified":  {directory, "", `{"email":"a@example.com","email_verified":false}`, `{}`, []string{"a@example.com"}},
		"directory, other claim":            {directory, "mail", `{"email":"a@example.com"}`, `{"mail":"b@example.com"}`, []string{"b@example.com"}},
		"directory, several":                {directory, "mail", `{"mail":["b@example.com","a@example.net","c@other.example","b@EXAMPLE.com",7]}`, `{}`, []string{"b@example.com", "a@example.net"}},
		"directory, foreign domain":         {directory, "", `{"email":"a@other.example"}`, `{}`, nil},
		"no trust declared":                 {"", "", `{"email":"a@example.com","email_verified":true}`, `{}`, nil},
		"unknown trust":                     {"always", "", `{"email":"a@example.com","email_verified":true}`, `{}`, nil},
		"address is an object":              {directory, "", `{"email":{"a":"a@example.com"}}`, `{}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := Provider{Domains: []string{"example.com", "example.net"}, AddressTrust: c.trust, AddressClaim: c.claim}
			got := p.person(verifiedToken(t, c.idToken), testClaims(t, c.userinfo)).Addresses
			if !slices.Equal(got, c.want) {
				t.Errorf("ID token %s, userinfo %s: got %q, want %q", c.idToken, c.userinfo, got, c.want)
			}
		})
	}
}

func verifiedToken(t testing.TB, text string) verified {
	t.Helper()
	return verified{subject: "s", claims: testClaims(t, text)}
}

func TestR1OnlyWellFormedAddressesOfOwnDomains(t *testing.T) {
	t.Parallel()
	p := Provider{Domains: []string{"example.com", "xn--bcher-kva.example"}}
	for address, want := range map[string]string{
		"alice@example.com":                      "alice@example.com",
		"Alice@Example.COM":                      "Alice@example.com",
		"alice.b+c@example.com":                  "alice.b+c@example.com",
		"alice@XN--BCHER-KVA.example":            "alice@xn--bcher-kva.example",
		strings.Repeat("a", 64) + "@example.com": strings.Repeat("a", 64) + "@example.com",

		"":                                       "",
		"alice":                                  "",
		"@example.com":                           "",
		"alice@":                                 "",
		"alice@sub.example.com":                  "",
		"alice@example.com.":                     "",
		"alice@example.com.other.example":        "",
		"alice@notexample.com":                   "",
		"alice@other.example@example.com":        "",
		"alice@example.com@other.example":        "",
		"alice@bücher.example":                   "",
		"alice@[127.0.0.1]":                      "",
		"älice@example.com":                      "",
		" alice@example.com":                     "",
		"alice@example.com ":                     "",
		"alice@example.com\n":                    "",
		"al\x00ice@example.com":                  "",
		"al ice@example.com":                     "",
		"al\r\nice@example.com":                  "",
		".alice@example.com":                     "",
		"alice.@example.com":                     "",
		"al..ice@example.com":                    "",
		`"alice"@example.com`:                    "",
		`"al ice"@example.com`:                   "",
		"<alice@example.com>":                    "",
		"Alice <alice@example.com>":              "",
		"alice@example.com (comment)":            "",
		"alice(comment)@example.com":             "",
		"a@example.com,b@example.com":            "",
		"mailto:alice@example.com":               "",
		strings.Repeat("a", 65) + "@example.com": "",
	} {
		got, ok := p.ownAddress(address)
		if got != want || ok != (want != "") {
			t.Errorf("ownAddress(%q): got %q, %v, want %q", address, got, ok, want)
		}
	}
}

func TestR1LoginNames(t *testing.T) {
	t.Parallel()
	p := Provider{Domains: []string{"example.com"}, AddressTrust: TrustDirectory}
	for name, want := range map[string]string{
		"alice":                 "alice",
		"Alice.B-c_9":           "Alice.B-c_9",
		"a":                     "a",
		"_a-":                   "_a-",
		strings.Repeat("a", 64): strings.Repeat("a", 64),
		"alice@example.com":     "alice@example.com",
		"alice@EXAMPLE.com":     "alice@example.com",

		"":                            "",
		"alice@other.example":         "",
		"alice@":                      "",
		"@":                           "",
		"@example.com":                "",
		"a@b@example.com":             "",
		"al ice":                      "",
		"al\x00ice":                   "",
		"alice\n":                     "",
		".":                           "",
		"..":                          "",
		".alice":                      "",
		"alice.":                      "",
		"älice":                       "",
		`EXAMPLE\alice`:               "",
		`"alice"`:                     "",
		"bob%example.com":             "", // another way to write an address, to some servers
		"example.com!bob":             "",
		"bob+x":                       "",
		"bob*master":                  "", // a master user's login, to Dovecot
		"*":                           "",
		"/":                           "",
		"a/b":                         "",
		"{address}":                   "",
		"~":                           "",
		strings.Repeat("a", 65):       "",
		strings.Repeat("a.", 40):      "",
		strings.Repeat("a", 63) + ".": "",
	} {
		if got := p.login(name, nil); got != want {
			t.Errorf("login(%q): got %q, want %q", name, got, want)
		}
	}
}

// A login name with a domain is an address by another name: it counts if the
// address would.
func TestR2LoginNameWithADomainNeedsTheSameTrust(t *testing.T) {
	t.Parallel()
	const mallory = `"email":"mallory@example.com","email_verified":true`
	for name, c := range map[string]struct {
		trust, claims, want string
	}{
		"nothing verified":               {TrustEmailVerified, `{"preferred_username":"bob@example.com"}`, ""},
		"said to be unverified":          {TrustEmailVerified, `{"preferred_username":"bob@example.com","email":"bob@example.com","email_verified":false}`, ""},
		"another address is verified":    {TrustEmailVerified, `{"preferred_username":"bob@example.com",` + mallory + `}`, ""},
		"longer than the verified one":   {TrustEmailVerified, `{"preferred_username":"xmallory@example.com",` + mallory + `}`, ""},
		"the verified address":           {TrustEmailVerified, `{"preferred_username":"mallory@example.com",` + mallory + `}`, "mallory@example.com"},
		"the verified address, shouted":  {TrustEmailVerified, `{"preferred_username":"MALLORY@EXAMPLE.COM",` + mallory + `}`, "mallory@example.com"},
		"a letter that folds to another": {TrustEmailVerified, `{"preferred_username":"kim\u212A@example.com","email":"kimk@example.com","email_verified":true}`, ""},
		"a verified foreign address":     {TrustEmailVerified, `{"preferred_username":"bob@other.example","email":"bob@other.example","email_verified":true}`, ""},
		"a bare name that nobody proves": {TrustEmailVerified, `{"preferred_username":"bob",` + mallory + `}`, ""},
		"the directory's bare name":      {TrustDirectory, `{"preferred_username":"bob"}`, "bob"},
		"the directory's word":           {TrustDirectory, `{"preferred_username":"bob@Example.com"}`, "bob@example.com"},
		"not for a foreign domain":       {TrustDirectory, `{"preferred_username":"bob@other.example"}`, ""},
		"no trust declared":              {"", `{"preferred_username":"bob@example.com",` + mallory + `}`, ""},
	} {
		p := Provider{Domains: []string{"example.com"}, AddressTrust: c.trust}
		if got := p.person(verifiedToken(t, c.claims), nil).Login; got != c.want {
			t.Errorf("%s: trust %q, claims %s: got login %q, want %q", name, c.trust, c.claims, got, c.want)
		}
	}
}

func TestClaimsForLoginAndName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		p                   Provider
		idToken, userinfo   string
		wantLogin, wantName string
	}{
		"defaults":         {Provider{}, `{"preferred_username":"alice","name":"Alice"}`, `{}`, "alice", "Alice"},
		"userinfo adds":    {Provider{}, `{"name":"Alice"}`, `{"preferred_username":"alice","name":"Other"}`, "alice", "Alice"},
		"other claims":     {Provider{LoginClaim: "uid", NameClaim: "cn"}, `{"preferred_username":"x","name":"y"}`, `{"uid":"alice","cn":"Alice"}`, "alice", "Alice"},
		"not strings":      {Provider{}, `{"preferred_username":["alice"],"name":7}`, `{}`, "", ""},
		"nothing":          {Provider{}, `{}`, `{}`, "", ""},
		"foreign login":    {Provider{Domains: []string{"example.com"}}, `{"preferred_username":"alice@other.example"}`, `{}`, "", ""},
		"no userinfo used": {Provider{}, `{"preferred_username":"alice"}`, `null`, "alice", ""},
	} {
		c.p.AddressTrust = TrustDirectory
		got := c.p.person(verifiedToken(t, c.idToken), testClaims(t, c.userinfo))
		if got.Login != c.wantLogin || got.Name != c.wantName {
			t.Errorf("%s: got login %q, name %q, want %q, %q", name, got.Login, got.Name, c.wantLogin, c.wantName)
		}
	}
}

func TestDisplayName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Alice Example":                       "Alice Example",
		"  Alice \t\r\n Example ":             "Alice Example",
		"Al\x00ice\x7f":                       "Al ice",
		"Alice\u2028Example":                  "Alice Example",
		"Alice \u202eelpmaxE":                 "Alice elpmaxE",
		"Älice 李":                             "Älice 李",
		"bad\xffbyte":                         "badbyte",
		"":                                    "",
		"\u200f\u202a":                        "",
		strings.Repeat("李", 200):              strings.Repeat("李", 100),
		strings.Repeat("a", 99) + " " + "bcd": strings.Repeat("a", 99),
	} {
		if got := displayName(name); got != want {
			t.Errorf("displayName(%q): got %q, want %q", name, got, want)
		}
	}
}

func TestR17AuthTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		`{"auth_time":1700000000}`:   time.Unix(1700000000, 0).UTC(),
		`{"auth_time":1.7e9}`:        time.Unix(1700000000, 0).UTC(),
		`{}`:                         {},
		`{"auth_time":null}`:         {},
		`{"auth_time":"1700000000"}`: {},
		`{"auth_time":0}`:            {},
		`{"auth_time":-5}`:           {},
		`{"auth_time":1e300}`:        {},
	} {
		if got := authTime(testClaims(t, text)); !got.Equal(want) || got.IsZero() != want.IsZero() {
			t.Errorf("authTime(%s): got %v, want %v", text, got, want)
		}
	}
	fromUserinfo := Provider{}.person(verifiedToken(t, `{}`), testClaims(t, `{"auth_time":1700000000}`))
	if !fromUserinfo.AuthTime.IsZero() {
		t.Errorf("auth time of userinfo was taken: %v", fromUserinfo.AuthTime)
	}
}

func TestR17ContextIsExactOrNothing(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 256)
	many := `"m",` + strings.Repeat(`"m",`, 19) + `"m"`
	for text, want := range map[string]struct {
		acr string
		amr []string
	}{
		`{"acr":"urn:example:silver","amr":["pwd","otp"]}`: {"urn:example:silver", []string{"pwd", "otp"}},
		`{"acr":"0","amr":["pwd"]}`:                        {"0", []string{"pwd"}},
		`{}`:                                               {},
		`{"acr":"","amr":[]}`:                              {},
		`{"acr":1,"amr":"pwd"}`:                            {},
		`{"acr":["a"],"amr":["pwd",1]}`:                    {},
		`{"acr":"a\u0000b","amr":["pwd","a\nb"]}`:          {},
		`{"acr":"` + long + `","amr":["` + long + `"]}`:    {},
		`{"amr":[` + many + `]}`:                           {},
		`{"amr":["pwd",""]}`:                               {},
	} {
		got := Provider{}.person(verifiedToken(t, text), testClaims(t, `{"acr":"userinfo","amr":["userinfo"]}`))
		if got.ACR != want.acr || !slices.Equal(got.AMR, want.amr) {
			t.Errorf("ID token %.80s: got acr %q and amr %q, want %q and %q", text, got.ACR, got.AMR, want.acr, want.amr)
		}
	}
}

// FuzzSplit: whatever a provider sends, what passes is a plain address again.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{"alice@example.com", `"a b"@example.com`, "a@b@c", "a@[1.2.3.4]", "A <a@b>", "ä@b", ".@a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		local, domain, ok := split(address)
		if !ok {
			return
		}
		if strings.ContainsAny(local+domain, "@ \"<>()\r\n\x00") || !strings.EqualFold(local+"@"+domain, address) {
			t.Errorf("split(%q): got %q, %q", address, local, domain)
		}
	})
}

func FuzzDisplayName(f *testing.F) {
	f.Add("Alice \u202e\x00")
	f.Fuzz(func(t *testing.T, name string) {
		got := displayName(name)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > maxName || strings.ContainsAny(got, "\r\n\t\x00\u202e") {
			t.Errorf("displayName(%q): got %q", name, got)
		}
		if again := displayName(got); again != got {
			t.Errorf("displayName(%q): got %q, and %q the second time", name, got, again)
		}
	})
}
