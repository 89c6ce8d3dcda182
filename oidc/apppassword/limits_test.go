package apppassword_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"signpost/oidc/apppassword"
)

// TestR21LimitBySelector: after ten wrong ones even the right one is refused, until the minute is over;
// another password of the same person is not.
func TestR21LimitBySelector(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, second := r.make(t), r.make(t)
	tooMany := 0
	for n := range 12 {
		if n == 10 && r.find(t, first, "") != nil {
			t.Error("after ten wrong ones the right one is refused already")
		}
		// Each from elsewhere: it is not the network that counts.
		err := r.find(t, changed(first), fmt.Sprintf("192.0.2.%d", n))
		if !errors.Is(err, apppassword.ErrWrong) {
			t.Fatalf("wrong one %d: %v", n, err)
		}
		if errors.Is(err, apppassword.ErrTooMany) {
			tooMany++
		}
	}
	if err := r.find(t, first, "198.51.100.1"); !errors.Is(err, apppassword.ErrWrong) {
		t.Errorf("the right one after too many: %v, want ErrWrong, and nothing more in it", err)
	}
	if err := r.find(t, second, "198.51.100.1"); err != nil {
		t.Errorf("another one of the same account: %v, want it good (never by account)", err)
	}
	if tooMany != 1 {
		t.Errorf("too many was said %d times, want once", tooMany)
	}
}

// TestR21LimitByNetwork: of one IPv4 address or one /64.
func TestR21LimitByNetwork(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ wrong, same, elsewhere string }{
		"IPv4":        {"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"},
		"IPv6":        {"2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"},
		"not said":    {"", "192.0.2.1", ""},
		"no address":  {"printer", "printer", "192.0.2.1"},
		"with a zone": {"fe80::1%eth0", "fe80::2", "fe81::1"},
	} {
		r := newRig(t)
		password := r.make(t)
		for range 101 {
			other, err := apppassword.New(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.find(t, other.Reveal(), c.wrong); !errors.Is(err, apppassword.ErrWrong) {
				t.Fatal(err)
			}
		}
		counts := name != "not said" && name != "no address"
		if err := r.find(t, password, c.same); (err != nil) != counts {
			t.Errorf("%s: from %q after too many from %q: %v, want refused %v", name, c.same, c.wrong, err, counts)
		}
		if err := r.find(t, password, c.elsewhere); err != nil {
			t.Errorf("%s: from %q: %v, want it good", name, c.elsewhere, err)
		}
	}
}

// TestR21AServerShutsOutNobodyAtAnother: who counts addresses wrongly, or on purpose, does so for itself alone.
func TestR21AServerShutsOutNobodyAtAnother(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	password := r.make(t)
	presented := apppassword.Presented{Password: sample, From: "192.0.2.1", Server: "calendar"}
	for range 101 {
		if _, err := r.Find(t.Context(), tenant, presented); !errors.Is(err, apppassword.ErrWrong) {
			t.Fatal(err)
		}
	}
	presented.Password = password
	if _, err := r.Find(t.Context(), tenant, presented); !errors.Is(err, apppassword.ErrWrong) {
		t.Errorf("at the server that said so: %v, want ErrWrong", err)
	}
	presented.Server = "mail"
	if _, err := r.Find(t.Context(), tenant, presented); err != nil {
		t.Errorf("at another server: %v, want it good", err)
	}
}

// TestR21StrangersTellNothing: of wrong ones it is told only that they tried a password that is there, once in a while, and
// not from where nobody is listened to.
func TestR21StrangersTellNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, second := r.make(t), r.make(t)
	told := func(password, from string, attempts int) (times int) {
		for range attempts {
			if errors.Is(r.find(t, password, from), apppassword.ErrTooMany) {
				times++
			}
		}
		return times
	}
	for n := range 30 {
		if got := told(fmt.Sprintf("%08d%026d", n, n), "", 12); got != 0 {
			t.Fatalf("of a selector that nobody has it was told %d times", got)
		}
	}
	if got := told(changed(first), "", 40); got != 1 {
		t.Errorf("of one that somebody has it was told %d times, want once", got)
	}
	told(sample, "192.0.2.1", 101)
	if got := told(changed(second), "192.0.2.1", 40); got != 0 {
		t.Errorf("from a network that is shut out it was told %d times", got)
	}
	if got := told(changed(second), "192.0.2.2", 1); got != 1 {
		t.Errorf("from another network it was told %d times, want once", got)
	}
}

// TestR21ToldOnceAnHour of each password, however often too many come.
func TestR21ToldOnceAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		password := r.make(t)
		told := 0
		for range 59 {
			for range 20 {
				if errors.Is(r.find(t, changed(password), ""), apppassword.ErrTooMany) {
					told++
				}
			}
			time.Sleep(time.Minute)
		}
		if told != 1 {
			t.Errorf("in an hour it was told %d times, want once", told)
		}
		time.Sleep(2 * time.Minute)
		for range 20 {
			if errors.Is(r.find(t, changed(password), ""), apppassword.ErrTooMany) {
				told++
			}
		}
		if told != 2 {
			t.Errorf("an hour later it was told %d times in all, want twice", told)
		}
	})
}

// TestR21RightWithAWrongNameIsAWrongOne for the limit.
func TestR21RightWithAWrongNameIsAWrongOne(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	password := r.make(t)
	for n := range 11 {
		if err := r.find(t, password, ""); err != nil {
			t.Fatalf("after %d with a wrong name: %v", n, err)
		}
		if err := r.Wrong(t.Context(), tenant, apppassword.Presented{Password: password}); errors.Is(err, apppassword.ErrTooMany) != (n == 10) {
			t.Errorf("wrong name %d: %v, want that the eleventh is too many", n+1, err)
		}
	}
	if err := r.find(t, password, ""); !errors.Is(err, apppassword.ErrWrong) {
		t.Errorf("after eleven with a wrong name: %v, want ErrWrong", err)
	}
}
