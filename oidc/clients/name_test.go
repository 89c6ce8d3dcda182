package clients_test

import (
	"encoding/json"
	"strings"
	"testing"

	"signpost/oidc/clients"
)

// TestR15NamesCanBeSeen: what a program calls itself is shown as it is read, and nothing
// in it is unseen. A name of nothing else is none.
func TestR15NamesCanBeSeen(t *testing.T) {
	t.Parallel()
	c, h := hosted(t)
	r := realm(t, "example", nil)
	for sent, want := range map[string]string{
		"\u3164": "", "\u115f\u1160": "", "\uffa0": "", "\u2800": "", "\ufe0f": "", "\U000e0100": "", "\u034f": "", "\u17b4": "", "\u180b": "", "\u2065": "", "\u2800 \u3164": "",
		"Ma\u3164il": "Mail", "Mail\u2800\u2800": "Mail", "M\ufe0fail": "Mail",
		"a" + strings.Repeat("\u0301", 40) + "b": "a\u0301\u0301b", "a\u0301\u034f\u0301\ufe0f\u0489": "a\u0301\u0301", "\u0301\u0489": "", "\u0489Mail \u0301x": "Mail x",
		"Tiếng Việt": "Tiếng Việt", "Tie\u0302\u0301ng": "Tie\u0302\u0301ng", "ไปรษณีย์ที่": "ไปรษณีย์ที่", "बिजली": "बिजली", "⠓⠑⠇⠇⠕": "⠓⠑⠇⠇⠕", "한글 우편": "한글 우편", "Mail 📬": "Mail 📬",
	} {
		body, err := json.Marshal(map[string]any{"redirect_uris": []string{"http://127.0.0.1/"}, "client_name": sent})
		if err != nil {
			t.Fatal(err)
		}
		if got := register(t, c.Clients, r, string(body)).ClientName; got != want {
			t.Errorf("registered %+q as %+q, want %+q", sent, got, want)
		}
		c.Documents = newRig(t).cache
		h.set(described(func(d map[string]any) { d["client_name"] = sent }))
		if got := find(t, c.Clients, r, urlID); got.Name != want || got.Kind != clients.URL {
			t.Errorf("document of %+q has the name %+q, want %+q", sent, got.Name, want)
		}
	}
}
