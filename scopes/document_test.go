package scopes_test

import (
	"testing"

	"signpost/scopes"
)

func TestDocumentJSON(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		document scopes.Document
		want     string
	}{
		"nothing": {scopes.Document{}, `{"broad":"","scopes":[],"services":[]}`},
		"absent lists are empty, never null": {
			scopes.Document{Broad: "openid", Scopes: []scopes.DocumentScope{{Name: "openid"}}},
			`{"broad":"openid","scopes":[{"name":"openid","titles":{},"texts":{},"opens":[],"includes":[],"services":[]}],"services":[]}`,
		},
		"whole": {
			scopes.Document{
				Broad: "openid a",
				Scopes: []scopes.DocumentScope{{
					Name: "a", Titles: map[string]string{"en": "A", "de": "Ä"}, Texts: map[string]string{"en": "do a"},
					Opens: []string{"imap"}, Includes: []string{"b"}, Services: []string{"mail"},
				}},
				Services: []scopes.DocumentService{{ID: "mail", Protocol: "imap", Scope: "a", Audience: "imap.example.com", Resource: "imap.example.com"}},
			},
			`{"broad":"openid a","scopes":[{"name":"a","titles":{"de":"Ä","en":"A"},"texts":{"en":"do a"},"opens":["imap"],"includes":["b"],"services":["mail"]}],` +
				`"services":[{"id":"mail","protocol":"imap","scope":"a","audience":"imap.example.com","resource":"imap.example.com"}]}`,
		},
	} {
		got, err := c.document.JSON()
		if err != nil || string(got) != c.want {
			t.Errorf("%s: JSON = %s, %v\nwant %s", what, got, err, c.want)
		}
	}
}
