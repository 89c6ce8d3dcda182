package clients_test

import (
	"errors"
	"testing"
	"time"

	"signpost/directory"
	"signpost/oidc/clients"
)

// TestR15RecallAsksNobody: what was read once is known, fresh or not; what was not is
// not looked for.
func TestR15RecallAsksNobody(t *testing.T) {
	t.Parallel()
	c, h := hosted(t)
	r := realm(t, "example", nil)
	h.set(described(nil))
	now := time.Now()
	c.Now = func() time.Time { return now }
	recall := func(r *directory.Realm, id string, want error) clients.Client {
		t.Helper()
		got, err := c.Recall(t.Context(), r, id)
		if !errors.Is(err, want) {
			t.Errorf("Recall(%s): %v, want %v", id, err, want)
		}
		return got
	}
	recall(r, urlID, clients.ErrUnavailable)
	recall(r, "https://127.0.0.1/x", clients.ErrUnknown)
	find(t, c.Clients, r, urlID)
	for _, later := range []time.Duration{0, time.Hour, 24 * time.Hour} {
		c.Now = func() time.Time { return now.Add(later) }
		if got := recall(r, urlID, nil); got.ID != urlID || got.Name != "Example Mail" {
			t.Errorf("after %v: recalled %+v", later, got)
		}
	}
	c.Now = func() time.Time { return now.Add(24*time.Hour + 5*time.Minute) }
	recall(r, urlID, clients.ErrUnavailable)
	if h.count() != 1 {
		t.Errorf("%d requests, want the one of Find", h.count())
	}
}

func TestR15RecallKeepsToThePolicy(t *testing.T) {
	t.Parallel()
	c, h := hosted(t)
	h.set(described(nil))
	byID := []directory.ClientPolicy{
		{Deny: []directory.ClientMatch{{ID: urlID}}}, {Deny: []directory.ClientMatch{{Host: urlHost}}}, {URLsOff: true},
		{Allow: []directory.ClientMatch{{Host: "example.org"}, {ID: "https://example.com/other"}}},
	}
	byDocument := []directory.ClientPolicy{
		{Deny: []directory.ClientMatch{{SoftwareID: "mail"}}}, {Deny: []directory.ClientMatch{{Redirect: "com.example.mail"}}}, {Allow: []directory.ClientMatch{{SoftwareID: "x"}}},
	}
	want := func(p directory.ClientPolicy, want error) {
		t.Helper()
		if _, err := c.Recall(t.Context(), policy(t, p), urlID); !errors.Is(err, want) {
			t.Errorf("%+v: %v, want %v", p, err, want)
		}
	}
	for _, p := range byID {
		want(p, clients.ErrUnknown)
		unknown(t, c.Clients, policy(t, p), urlID)
	}
	for _, p := range byDocument {
		want(p, clients.ErrUnavailable)
	}
	if h.count() != 0 {
		t.Errorf("%d requests, want none", h.count())
	}
	find(t, c.Clients, policy(t, directory.ClientPolicy{Allow: []directory.ClientMatch{{Host: urlHost}}}), urlID)
	for _, p := range append(byID, byDocument...) {
		want(p, clients.ErrUnknown)
	}
}

// TestRecallOfOthers: ids that are no URLs are found as Find does.
func TestRecallOfOthers(t *testing.T) {
	t.Parallel()
	c := newRig(t)
	r := policy(t, directory.ClientPolicy{})
	for _, id := range []string{"open", "thunderbird", register(t, c.Clients, r, example).ClientID} {
		if got, err := c.Recall(t.Context(), r, id); err != nil || got.ID != id {
			t.Errorf("Recall(%.20s) = %q, %v", id, got.ID, err)
		}
	}
	for _, id := range []string{"", "nobody", "reg_x", "http://example.com/"} {
		if _, err := c.Recall(t.Context(), r, id); !errors.Is(err, clients.ErrUnknown) {
			t.Errorf("Recall(%q): %v, want ErrUnknown", id, err)
		}
	}
	if _, err := c.Recall(t.Context(), policy(t, directory.ClientPolicy{OpenOff: true}), "open"); !errors.Is(err, clients.ErrUnknown) {
		t.Errorf("open is off: %v, want ErrUnknown", err)
	}
}
