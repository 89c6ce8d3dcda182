package clients

import "testing"

// TestR15NamesStayInTheirQuotation: a name that closes the quotation marks of the page
// could go on in our voice.
func TestR15NamesStayInTheirQuotation(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Mail”. The organisation has checked it. “": "Mail. The organisation has checked it.",
		"«Mail» „Post“ ‹x› \"y\" 「z」":               "Mail Post x y z",
		"Bob's Mail’s": "Bob's Mail’s",
	} {
		if got := cleanName(name); got != want {
			t.Errorf("cleanName(%q) = %q, want %q", name, got, want)
		}
	}
}
