package configdoc_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"signpost/configdoc"
)

// sample is a small good document.
func sample() configdoc.Document {
	return configdoc.Document{
		Account:       configdoc.Account{Subject: "4Jm0pGq8TzS2kYw6Ba9dXQ", Addresses: []string{"alice@example.com"}},
		Provider:      configdoc.Provider{Name: "Example"},
		Issuer:        "https://id.example.com",
		TokenEndpoint: "https://id.example.com/token",
		Incoming: []configdoc.Service{{
			ID:             "mail",
			Protocol:       "imap",
			Endpoints:      []configdoc.Endpoint{{Host: "imap.example.com", Port: 993, Security: configdoc.SecurityTLS}},
			Username:       "alice@example.com",
			Authentication: []string{"oauthbearer"},
			Credential:     "sso",
			Audience:       "imap.example.com",
			Scope:          "urn:ietf:params:oauth:scope:mail",
			Order:          10,
		}},
	}
}

// edited returns the sample as JSON after a change to its members.
func edited(t *testing.T, edit func(document map[string]any)) []byte {
	t.Helper()
	data, err := sample().JSON()
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	edit(document)
	data, err = json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func service(document map[string]any) map[string]any {
	return document["incoming"].([]any)[0].(map[string]any)
}

func endpoint(document map[string]any) map[string]any {
	return service(document)["endpoints"].([]any)[0].(map[string]any)
}

type badDocument struct {
	name       string
	data       []byte
	parserOnly bool // a schema cannot say it
}

func badDocuments(t *testing.T) []badDocument {
	t.Helper()
	edit := func(name string, edit func(map[string]any)) badDocument {
		return badDocument{name: name, data: edited(t, edit)}
	}
	return []badDocument{
		{name: "empty", parserOnly: true},
		{name: "not JSON", data: []byte("<html>"), parserOnly: true},
		{name: "something after the document", data: append(edited(t, func(map[string]any) {}), "{}"...), parserOnly: true},
		{name: "not UTF-8", data: bytes.Replace(edited(t, func(map[string]any) {}), []byte("Example"), []byte("Ex\xffmple"), 1), parserOnly: true},
		{name: "too long", data: append(edited(t, func(map[string]any) {}), strings.Repeat(" ", configdoc.MaxSize)...), parserOnly: true},
		{name: "an array", data: []byte("[]")},
		{name: "null", data: []byte("null")},
		edit("no account", func(d map[string]any) { delete(d, "account") }),
		edit("no subject", func(d map[string]any) { delete(d["account"].(map[string]any), "subject") }),
		edit("subject is a number", func(d map[string]any) { d["account"].(map[string]any)["subject"] = 7 }),
		edit("addresses is a string", func(d map[string]any) { d["account"].(map[string]any)["addresses"] = "alice@example.com" }),
		edit("an address is an object", func(d map[string]any) { d["account"].(map[string]any)["addresses"] = []any{map[string]any{}} }),
		edit("no issuer", func(d map[string]any) { delete(d, "issuer") }),
		edit("empty issuer", func(d map[string]any) { d["issuer"] = "" }),
		edit("no token endpoint", func(d map[string]any) { delete(d, "token_endpoint") }),
		edit("provider is a string", func(d map[string]any) { d["provider"] = "Example" }),
		edit("services as an object", func(d map[string]any) { d["chat"] = map[string]any{} }),
		edit("service is a string", func(d map[string]any) { d["incoming"] = []any{"mail"} }),
		edit("service without id", func(d map[string]any) { delete(service(d), "id") }),
		edit("service without protocol", func(d map[string]any) { delete(service(d), "protocol") }),
		edit("service without credential", func(d map[string]any) { delete(service(d), "credential") }),
		edit("service without endpoints", func(d map[string]any) { delete(service(d), "endpoints") }),
		edit("service with an empty list of endpoints", func(d map[string]any) { service(d)["endpoints"] = []any{} }),
		edit("authentication is a string", func(d map[string]any) { service(d)["authentication"] = "oauthbearer" }),
		edit("order is a string", func(d map[string]any) { service(d)["order"] = "10" }),
		edit("order is a fraction", func(d map[string]any) { service(d)["order"] = 1.5 }),
		edit("insecure is a string", func(d map[string]any) { service(d)["insecure"] = "true" }),
		edit("endpoint without host", func(d map[string]any) { delete(endpoint(d), "host") }),
		edit("endpoint without port", func(d map[string]any) { delete(endpoint(d), "port") }),
		edit("port is a string", func(d map[string]any) { endpoint(d)["port"] = "993" }),
		edit("port 0", func(d map[string]any) { endpoint(d)["port"] = 0 }),
		edit("port 65536", func(d map[string]any) { endpoint(d)["port"] = 65536 }),
		edit("unknown security", func(d map[string]any) { endpoint(d)["security"] = "ssl" }),
		edit("no TLS and not marked", func(d map[string]any) { endpoint(d)["security"] = "none" }),
		edit("no TLS and marked false", func(d map[string]any) {
			endpoint(d)["security"] = "none"
			service(d)["insecure"] = false
		}),
		edit("host and URL", func(d map[string]any) { endpoint(d)["url"] = "https://imap.example.com/" }),
		edit("http URL and not marked", func(d map[string]any) { webEndpoint(d, "http://dav.example.com/") }),
		edit("URL of another scheme", func(d map[string]any) { webEndpoint(d, "file:///etc/passwd") }),
		edit("URL without host", func(d map[string]any) { webEndpoint(d, "https:///calendar") }),
		edit("URL with user information", func(d map[string]any) { webEndpoint(d, "https://dav.example.com@evil.example/") }),
		edit("URL with a fragment", func(d map[string]any) { webEndpoint(d, "https://dav.example.com/#a") }),
		edit("relative URL", func(d map[string]any) { webEndpoint(d, "/calendar") }),
		edit("a token and a refusal", func(d map[string]any) {
			withToken(d, nil)
			service(d)["refusal"] = map[string]any{"error": "invalid_scope"}
		}),
		edit("token is a string", func(d map[string]any) { service(d)["token"] = "x" }),
		edit("token without its text", func(d map[string]any) { withToken(d, map[string]any{"access_token": ""}) }),
		edit("token without its kind", func(d map[string]any) { withToken(d, map[string]any{"issued_token_type": ""}) }),
		edit("token without its type", func(d map[string]any) { withToken(d, map[string]any{"token_type": ""}) }),
		edit("token that lives for no second", func(d map[string]any) { withToken(d, map[string]any{"expires_in": 0}) }),
		edit("token that ended", func(d map[string]any) { withToken(d, map[string]any{"expires_in": -1}) }),
		edit("expires_in is a string", func(d map[string]any) { withToken(d, map[string]any{"expires_in": "900"}) }),
		edit("refusal is a string", func(d map[string]any) { service(d)["refusal"] = "invalid_scope" }),
		edit("refusal without an error", func(d map[string]any) { service(d)["refusal"] = map[string]any{"error_description": "no"} }),
		{name: "one id twice", parserOnly: true, data: edited(t, func(d map[string]any) { d["other"] = d["incoming"] })},
	}
}

// withToken gives the service a token with other members.
func withToken(document map[string]any, edit map[string]any) {
	token := map[string]any{
		"access_token": "narrow", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer",
		"expires_in": 900, "scope": "urn:ietf:params:oauth:scope:mail",
	}
	maps.Copy(token, edit)
	service(document)["token"] = token
}

func webEndpoint(document map[string]any, url string) {
	service(document)["endpoints"] = []any{map[string]any{"url": url}}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range badDocuments(t) {
		if _, err := configdoc.Parse(c.data); !errors.Is(err, configdoc.ErrInvalid) {
			t.Errorf("%s: Parse = %v, want ErrInvalid; document %.300s", c.name, err, c.data)
		}
	}
}

func TestParseTakes(t *testing.T) {
	t.Parallel()
	plain, err := configdoc.Parse(edited(t, func(map[string]any) {}))
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(map[string]any){
		"unknown members":          func(d map[string]any) { d["later"] = 1; service(d)["later"] = "x"; endpoint(d)["region"] = "eu" },
		"absent and null arrays":   func(d map[string]any) { delete(d, "chat"); d["files"] = nil },
		"optional members as null": func(d map[string]any) { service(d)["title"] = nil; d["provider"].(map[string]any)["logo"] = nil },
	} {
		got, err := configdoc.Parse(edited(t, edit))
		if err != nil || !reflect.DeepEqual(got, plain) {
			t.Errorf("%s: Parse = %+v, %v, want %+v", name, got, err, plain)
		}
	}
	insecure := edited(t, func(d map[string]any) { endpoint(d)["security"] = "none"; service(d)["insecure"] = true })
	if got, err := configdoc.Parse(insecure); err != nil || !got.Incoming[0].Insecure {
		t.Errorf("marked insecure: Parse = %+v, %v", got, err)
	}
}

func TestJSONRefusesWhatTheSchemaRefuses(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*configdoc.Document){
		"no subject":           func(d *configdoc.Document) { d.Account.Subject = "" },
		"no endpoint":          func(d *configdoc.Document) { d.Incoming[0].Endpoints = nil },
		"unencrypted, no mark": func(d *configdoc.Document) { d.Incoming[0].Endpoints[0].Security = configdoc.SecurityNone },
	} {
		d := sample()
		edit(&d)
		if data, err := d.JSON(); !errors.Is(err, configdoc.ErrInvalid) || data != nil {
			t.Errorf("%s: JSON() = %s, %v, want ErrInvalid", name, data, err)
		}
	}
}

func TestJSONLeavesTheDocumentAlone(t *testing.T) {
	t.Parallel()
	d := sample()
	if _, err := d.JSON(); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(d, sample()) {
		t.Errorf("after JSON(): %+v, want %+v", d, sample())
	}
}

func TestServicesInDocumentOrder(t *testing.T) {
	t.Parallel()
	one := func(id string) []configdoc.Service { return []configdoc.Service{{ID: id}} }
	d := configdoc.Document{
		Incoming: one("1"), Outgoing: one("2"), Calendars: one("3"), Contacts: one("4"),
		Files: one("5"), Chat: one("6"), Other: one("7"),
	}
	var got strings.Builder
	for _, s := range d.Services() {
		got.WriteString(s.ID)
	}
	if got.String() != "1234567" {
		t.Errorf("Services() = %q, want every kind in order", got.String())
	}
}

// TestChange goes through every service, and stops at an error.
func TestChange(t *testing.T) {
	t.Parallel()
	one := func(id string) []configdoc.Service { return []configdoc.Service{{ID: id}} }
	d := configdoc.Document{Incoming: one("1"), Files: one("2"), Other: one("3")}
	if err := d.Change(func(s *configdoc.Service) error { s.Title = "T" + s.ID; return nil }); err != nil {
		t.Fatal(err)
	}
	if d.Incoming[0].Title != "T1" || d.Files[0].Title != "T2" || d.Other[0].Title != "T3" {
		t.Errorf("changed to %+v, want a title in each", d.Services())
	}
	stop := errors.New("stop")
	seen := 0
	if err := d.Change(func(*configdoc.Service) error { seen++; return stop }); !errors.Is(err, stop) || seen != 1 {
		t.Errorf("Change = %v after %d services, want the error at once", err, seen)
	}
}

func TestTokensAreHidden(t *testing.T) {
	t.Parallel()
	token := configdoc.Token{AccessToken: "secret", TokenType: "Bearer", Scope: "mail", ExpiresIn: 900}
	d := sample()
	d.Incoming[0].Token = &token
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("have", "token", token, "pointer", &token)
	for form, got := range map[string]string{
		"%v": fmt.Sprintf("%v %v", token, &token), "%+v": fmt.Sprintf("%+v %+v", token, d), "%#v": fmt.Sprintf("%#v %#v", token, d), "log": log.String(),
	} {
		if strings.Contains(got, "secret") || !strings.Contains(got, "Bearer token for") {
			t.Errorf("%s = %s, want what is not secret", form, got)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawDocument(t)
		data, err := want.JSON()
		if err != nil {
			t.Fatalf("JSON(): %v", err)
		}
		got, err := configdoc.Parse(data)
		if err != nil {
			t.Fatalf("Parse(%s): %v", data, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("Parse(%s) = %+v, want %+v", data, got, want)
		}
		if strings.Contains(string(data), ":null") {
			t.Fatalf("a member is null: %s", data)
		}
	})
}

// FuzzParse: what is read is written and read again without a difference, and
// never holds an endpoint without TLS that is not marked.
func FuzzParse(f *testing.F) {
	data, err := sample().JSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(bytes.Replace(data, []byte(`"security":"tls"`), []byte(`"security":"none"`), 1))
	f.Add([]byte(`{"account":{"subject":"a"},"issuer":"b","token_endpoint":"c","files":[{"id":"1","protocol":"webdav","credential":"sso","endpoints":[{"url":"https://a/"}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := configdoc.Parse(data)
		if err != nil {
			if !errors.Is(err, configdoc.ErrInvalid) {
				t.Fatalf("Parse: %v, want ErrInvalid", err)
			}
			return
		}
		for _, s := range first.Services() {
			for _, e := range s.Endpoints {
				if !s.Insecure && e.Security != "tls" && e.Security != "starttls" && !strings.HasPrefix(strings.ToLower(e.URL), "https://") {
					t.Fatalf("service %q: endpoint %+v without TLS is not marked", s.ID, e)
				}
			}
		}
		written, err := first.JSON()
		if err != nil {
			t.Fatalf("JSON() of what Parse took: %v", err)
		}
		second, err := configdoc.Parse(written)
		if err != nil || !reflect.DeepEqual(second, first) {
			t.Fatalf("read again: %+v, %v, want %+v", second, err, first)
		}
	})
}

// drawDocument makes a good document with anything in its free texts.
func drawDocument(t *rapid.T) configdoc.Document {
	texts := rapid.SliceOfN(rapid.String(), 0, 3)
	id := 0
	services := func(label string) []configdoc.Service {
		list := make([]configdoc.Service, rapid.IntRange(0, 2).Draw(t, label))
		for i := range list {
			id++
			list[i] = drawService(t, strings.Repeat("s", id))
		}
		return list
	}
	return configdoc.Document{
		Account: configdoc.Account{
			Subject:     rapid.StringN(1, 40, -1).Draw(t, "subject"),
			Addresses:   texts.Draw(t, "addresses"),
			DisplayName: rapid.String().Draw(t, "display name"),
		},
		Provider: configdoc.Provider{
			Name: rapid.String().Draw(t, "name"),
			Logo: rapid.String().Draw(t, "logo"),
			Help: rapid.String().Draw(t, "help"),
		},
		Issuer:        rapid.StringN(1, 40, -1).Draw(t, "issuer"),
		TokenEndpoint: rapid.StringN(1, 40, -1).Draw(t, "token endpoint"),
		Incoming:      services("incoming"),
		Outgoing:      services("outgoing"),
		Calendars:     services("calendars"),
		Contacts:      services("contacts"),
		Files:         services("files"),
		Chat:          services("chat"),
		Other:         services("other"),
	}
}

func drawService(t *rapid.T, id string) configdoc.Service {
	insecure := rapid.Bool().Draw(t, "insecure")
	s := configdoc.Service{
		ID:             id,
		Protocol:       rapid.SampledFrom([]string{"imap", "submission", "caldav", "later"}).Draw(t, "protocol"),
		Title:          rapid.String().Draw(t, "title"),
		Endpoints:      rapid.SliceOfN(rapid.Custom(func(t *rapid.T) configdoc.Endpoint { return drawEndpoint(t, insecure) }), 1, 3).Draw(t, "endpoints"),
		Username:       rapid.String().Draw(t, "username"),
		Authentication: rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "authentication"),
		Credential:     rapid.StringN(1, 10, -1).Draw(t, "credential"),
		Audience:       rapid.String().Draw(t, "audience"),
		Resource:       rapid.String().Draw(t, "resource"),
		Scope:          rapid.String().Draw(t, "scope"),
		Order:          rapid.IntRange(-1000, 1000).Draw(t, "order"),
		Insecure:       insecure,
	}
	switch rapid.SampledFrom([]string{"", "token", "refusal"}).Draw(t, "answer") {
	case "token":
		s.Token = &configdoc.Token{
			AccessToken:     rapid.StringN(1, 40, -1).Draw(t, "access token"),
			IssuedTokenType: rapid.StringN(1, 10, -1).Draw(t, "issued token type"),
			TokenType:       rapid.SampledFrom([]string{"Bearer", "DPoP", "N_A"}).Draw(t, "token type"),
			ExpiresIn:       rapid.Int64Range(1, 1<<40).Draw(t, "expires in"),
			Scope:           rapid.String().Draw(t, "scope of the token"),
			Source:          rapid.SampledFrom([]string{"", "upstream"}).Draw(t, "source"),
		}
	case "refusal":
		s.Refusal = &configdoc.Refusal{Error: rapid.StringN(1, 10, -1).Draw(t, "error"), ErrorDescription: rapid.String().Draw(t, "description")}
	}
	return s
}

func drawEndpoint(t *rapid.T, insecure bool) configdoc.Endpoint {
	schemes, securities := []string{"https"}, []string{"tls", "starttls"}
	if insecure {
		schemes, securities = append(schemes, "http"), append(securities, "none")
	}
	if rapid.Bool().Draw(t, "web") {
		scheme := rapid.SampledFrom(schemes).Draw(t, "scheme")
		return configdoc.Endpoint{URL: scheme + rapid.StringMatching(`://[a-z0-9.-]{1,10}(:[0-9]{1,4})?(/([a-z]|%20){0,8})?`).Draw(t, "url")}
	}
	return configdoc.Endpoint{
		Host:     rapid.StringN(1, 20, -1).Draw(t, "host"),
		Port:     rapid.IntRange(1, 65535).Draw(t, "port"),
		Security: rapid.SampledFrom(securities).Draw(t, "security"),
	}
}
