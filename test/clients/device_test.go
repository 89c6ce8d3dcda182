package clients_test

import (
	"context"
	"strings"
	"testing"

	"signpost/internal/demo/stage"
)

// allowDevice does what alice does on her telephone: she opens the link that the device
// shows, sends the code that is filled in, says that it is hers, and signs in.
func allowDevice(t *testing.T, d *stage.Stage, link string) {
	t.Helper()
	if !strings.HasPrefix(link, d.URL+"/") {
		t.Fatalf("the device shows the link %q, want one below %s", link, d.URL)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	b := newBrowser(t)
	must(t, b.Open(ctx, link))
	code, err := b.FormWith("user_code")
	must(t, err)
	must(t, b.Submit(ctx, code))
	confirm, err := b.FormWith("decision")
	must(t, err)
	confirm.Values.Set("decision", "allow")
	must(t, b.Submit(ctx, confirm))
	signIn(ctx, t, d, b)
}
