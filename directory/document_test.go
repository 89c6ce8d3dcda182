package directory

import (
	"strings"
	"testing"

	"signpost/configdoc"
	"signpost/scopes"
)

var (
	aliceAccount = configdoc.Account{Subject: "s-1", Addresses: []string{"alice@example.test"}, DisplayName: "Alice"}
	alice        = Holder{Subject: "s-1", Address: "alice@example.test", Login: "alice"}
)

func TestDocument(t *testing.T) {
	t.Parallel()
	r, _ := example(t).Realm("example")
	d := r.Document(aliceAccount, alice, r.Broad, nil)
	b, err := d.JSON()
	if err != nil {
		t.Fatalf("the document is invalid: %v", err)
	}
	if again, err := configdoc.Parse(b); err != nil || len(again.Services()) != 4 {
		t.Errorf("the document parses to %d services, %v; want 4", len(again.Services()), err)
	}
	if d.Issuer != base || d.TokenEndpoint != base+"/token" || d.Provider.Name != "Example Organisation" || d.Provider.Help != "https://www.example.test/help" {
		t.Errorf("issuer %q, token endpoint %q, provider %+v", d.Issuer, d.TokenEndpoint, d.Provider)
	}
	if len(d.Incoming) != 1 || len(d.Outgoing) != 1 || len(d.Calendars) != 1 || len(d.Files) != 1 {
		t.Fatalf("incoming %v, outgoing %v, calendars %v, files %v; want one of each", d.Incoming, d.Outgoing, d.Calendars, d.Files)
	}
	mail := d.Incoming[0]
	if mail.ID != "mail" || mail.Title != "Mail" || mail.Username != "alice@example.test" || mail.Credential != "sso" || mail.Order != 1 ||
		mail.Audience != "imap.example.test" || mail.Resource != "imap.example.test" || mail.Scope != scopes.Mail ||
		strings.Join(mail.Authentication, " ") != "oauthbearer xoauth2" || mail.Endpoints[0] != (configdoc.Endpoint{Host: "imap.example.test", Port: 993, Security: "tls"}) {
		t.Errorf("mail is %+v", mail)
	}
	calendars := d.Calendars[0]
	if calendars.Endpoints[0].URL != "https://dav.example.test/cal/example.test/alice/" || calendars.Resource != "https://dav.example.test/cal/" {
		t.Errorf("calendars is %+v; want the template filled in and its prefix as resource", calendars)
	}
	if d.Files[0].Username != "s-1" {
		t.Errorf("files has the login name %q, want s-1", d.Files[0].Username)
	}
}

func TestDocumentHoldsWhatIsGranted(t *testing.T) {
	t.Parallel()
	r, _ := example(t).Realm("example")
	ids := func(h Holder, granted ...string) string {
		var ids []string
		for _, s := range r.Document(aliceAccount, h, scopes.Of(granted...), nil).Services() {
			ids = append(ids, s.ID)
		}
		return strings.Join(ids, " ")
	}
	for _, c := range []struct{ what, got, want string }{
		{"nothing", ids(alice), ""},
		{"no service's scope", ids(alice, "openid", "email"), ""},
		{"mail", ids(alice, scopes.Mail), "mail send"},
		{"files and calendars", ids(alice, scopes.Files, scopes.Calendars), "calendars files"},
		{"no login name", ids(Holder{Address: alice.Address}, scopes.Mail, scopes.Files), "mail send"},
		{"no address", ids(Holder{Subject: alice.Subject}, scopes.Mail, scopes.Files), "files"},
		{"a foreign address", ids(Holder{Address: "alice@gmail.com"}, scopes.Mail), ""},
	} {
		if c.got != c.want {
			t.Errorf("granted %s: services %q, want %q", c.what, c.got, c.want)
		}
	}
}

// Any of its scopes opens a service; the document says what to ask for of what was granted.
func TestDocumentScopeIsWhatWasGranted(t *testing.T) {
	t.Parallel()
	narrower := scopes.Scope{Name: "urn:example:mail.read", Title: map[string]string{"en": "Read"}, Text: map[string]string{"en": "read your mail"}}
	mail, _ := scopes.Default().Scope(scopes.Mail)
	mail.Includes = []string{narrower.Name}
	s := mustCompile(t, []Tenant{{Name: "t", Placement: PlacementBase, Scopes: []scopes.Scope{narrower, mail}, Services: []Service{{
		ID: "jmap", Protocol: ProtocolJMAP, Username: "{login}", Scopes: []string{scopes.Mail, scopes.Contacts},
	}}}})
	r, _ := s.Realm("t")
	for granted, want := range map[string]string{
		scopes.Mail + " openid":             scopes.Mail,
		scopes.Contacts:                     scopes.Contacts,
		scopes.Contacts + " " + scopes.Mail: scopes.Mail + " " + scopes.Contacts,
		narrower.Name:                       narrower.Name,
		"openid urn:signpost:scope:files":   "",
		"":                                  "",
	} {
		got := ""
		if in := r.Document(aliceAccount, alice, scopes.Of(strings.Fields(granted)...), nil).Incoming; len(in) == 1 {
			got = in[0].Scope
		}
		if got != want {
			t.Errorf("granted %q: the service asks for %q, want %q", granted, got, want)
		}
	}
}

func TestEveryProtocolHasItsPlace(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"imap": "incoming", "pop3": "incoming", "jmap": "incoming", "submission": "outgoing", "caldav": "calendars", "carddav": "contacts",
		"webdav": "files", "xmpp": "chat", "matrix": "chat", "managesieve": "other", "https": "other",
	}
	for _, protocol := range protocols {
		var d configdoc.Document
		kind := kindOf(&d, protocol)
		for name, list := range map[string]*[]configdoc.Service{
			"incoming": &d.Incoming, "outgoing": &d.Outgoing, "calendars": &d.Calendars, "contacts": &d.Contacts,
			"files": &d.Files, "chat": &d.Chat, "other": &d.Other,
		} {
			if (kind == list) != (want[protocol] == name) {
				t.Errorf("protocol %s: is in %s: %v, want it in %s", protocol, name, kind == list, want[protocol])
			}
		}
	}
}
