package scopes

import (
	"fmt"
	"strings"
	"testing"
)

// Whoever breaks the embedded catalogue hears of it at the first use.
func TestBrokenCataloguePanics(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct{ data, because string }{
		"no JSON":        {`[`, "unexpected EOF"},
		"unknown member": {`[{"name":"a","titel":{"en":"A"}}]`, "titel"},
		"no text":        {`[{"name":"a","title":{"en":"A"}}]`, "no English text"},
	} {
		message := func() (message string) {
			defer func() { message = fmt.Sprint(recover()) }()
			mustDecode([]byte(c.data))
			return ""
		}()
		if !strings.Contains(message, c.because) {
			t.Errorf("%s: panic says %q, want %q in it", what, message, c.because)
		}
	}
}
