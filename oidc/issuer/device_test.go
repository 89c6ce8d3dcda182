package issuer_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/scopes"
)

// inBubble runs a test with a clock of its own.
func inBubble(t *testing.T, policy string, test func(t *testing.T, r *deviceRig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newDeviceRig(t, policy)) })
}

func TestR16WhoMayUseDevices(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy, client string
		want           string
	}{
		{"", "tv", ""},
		{"", "open", oidc.CodeUnauthorizedClient},
		{directory.DeviceFixed, "tv", ""},
		{directory.DeviceFixed, "open", oidc.CodeUnauthorizedClient},
		{`"` + directory.DeviceOn + `"`, "open", ""},
		{`"` + directory.DeviceOn + `"`, "tv", ""},
		{`"` + directory.DeviceOff + `"`, "tv", oidc.CodeUnauthorizedClient},
		{`"` + directory.DeviceOff + `"`, "open", oidc.CodeUnauthorizedClient},
		{`"` + directory.DeviceOn + `"`, "nobody", oidc.CodeInvalidClient},
	} {
		r := newDeviceRig(t, c.policy)
		_, err := r.ask(url.Values{"client_id": {c.client}, "scope": {scopes.Calendars}})
		if oidc.CodeOf(err) != c.want {
			t.Errorf("policy %s, client %s: %v, want %q", c.policy, c.client, err, c.want)
		}
		if c.want != oidc.CodeUnauthorizedClient {
			continue
		}
		want := c.want
		if !issuer.UsesDevices(r.realm) {
			want = oidc.CodeUnsupportedGrantType
		}
		if _, err := r.poll(c.client, "spd_x"); oidc.CodeOf(err) != want {
			t.Errorf("policy %s, client %s at the token endpoint: %v, want %q", c.policy, c.client, err, want)
		}
	}
}

// "Parameters sent without a value MUST be treated as if they were omitted", and none
// may be there twice.
func TestRFC8628Section3_1Parameters(t *testing.T) {
	t.Parallel()
	r := newDeviceRig(t, `"on"`)
	for name, c := range map[string]struct {
		form url.Values
		want string
	}{
		"good":                 {url.Values{}, ""},
		"not known":            {url.Values{"colour": {"blue"}}, ""},
		"resource":             {url.Values{"resource": {"https://dav.example.test/calendars/"}}, ""},
		"empty resource":       {url.Values{"resource": {""}}, ""},
		"no scope":             {url.Values{"scope": nil}, oidc.CodeInvalidScope},
		"empty scope":          {url.Values{"scope": {""}}, oidc.CodeInvalidScope},
		"scope twice":          {url.Values{"scope": {scopes.Calendars, scopes.Calendars}}, oidc.CodeInvalidRequest},
		"empty client":         {url.Values{"client_id": {""}}, oidc.CodeInvalidRequest},
		"client twice":         {url.Values{"client_id": {"tv", "open"}}, oidc.CodeInvalidRequest},
		"another's resource":   {url.Values{"resource": {"imap.other.test"}}, oidc.CodeInvalidTarget},
		"app password":         {url.Values{"scope": {"urn:signpost:scope:app-password"}}, oidc.CodeInvalidScope},
		"app password as well": {url.Values{"scope": {scopes.Calendars + " urn:signpost:scope:app-password"}}, oidc.CodeInvalidScope},
	} {
		form := url.Values{"client_id": {"tv"}, "scope": {scopes.Calendars}}
		for key, values := range c.form {
			form[key] = values
		}
		if _, err := r.ask(form); oidc.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestRFC8628Section3_2Answer(t *testing.T) {
	t.Parallel()
	r := newDeviceRig(t, `"on"`)
	seen := map[string]bool{}
	for range 50 {
		d := r.asked("tv")
		if d.ExpiresIn != 600 || d.Interval != 5 {
			t.Errorf("expires_in %d, interval %d; want 600 and 5", d.ExpiresIn, d.Interval)
		}
		if d.VerificationURI != "https://id.example.test/device" || d.VerificationURIComplete != d.VerificationURI+"?user_code="+d.UserCode {
			t.Errorf("verification URIs %q, %q", d.VerificationURI, d.VerificationURIComplete)
		}
		if len(d.UserCode) != 9 || d.UserCode[4] != '-' || strings.Trim(d.UserCode, "BCDFGHJKLMNPQRSTVWXZ-") != "" {
			t.Errorf("user code %q, want eight consonants", d.UserCode)
		}
		if seen[d.UserCode] || seen[d.DeviceCode] || len(d.DeviceCode) != 47 {
			t.Errorf("codes %q and %q: twice, or not 256 bits", d.UserCode, d.DeviceCode)
		}
		seen[d.UserCode], seen[d.DeviceCode] = true, true
	}
}

// User codes are read in either case and with whatever stands between the letters.
func TestRFC8628Section6_1UserCodeAsTyped(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"BCDF-GHJK": "BCDF-GHJK", "bcdfghjk": "BCDF-GHJK", " bcdf ghjk ": "BCDF-GHJK", "b.c.d.f.g.h.j.k": "BCDF-GHJK",
		"BCDF–GHJK": "BCDF-GHJK", "BCDF\u00a0GHJK\n": "BCDF-GHJK", "BCDF-GHJKL": "", "BCDF-GHJ": "", "": "",
		"BCDFGHJK" + strings.Repeat("-", 57): "", "<script>": "",
	} {
		if got := issuer.UserCode(typed); got != want {
			t.Errorf("UserCode(%q) = %q, want %q", typed, got, want)
		}
	}
}

// The whole way, and that the answer is a token of one hour with what was granted (R6).
func TestRFC8628Section3_5Allowed(t *testing.T) {
	t.Parallel()
	inBubble(t, `"on"`, func(t *testing.T, r *deviceRig) {
		d := r.asked("tv")
		r.wants("tv", d.DeviceCode, oidc.CodeAuthorizationPending)
		ticket := r.signIn(strings.ToLower(d.UserCode), "browser", "alice")
		time.Sleep(5 * time.Second)
		r.wants("tv", d.DeviceCode, oidc.CodeAuthorizationPending)
		if got := r.answers(ticket, "browser", true); got != issuer.DeviceAllowed {
			t.Errorf("result %q, want allowed", got)
		}
		time.Sleep(5 * time.Second)
		a := r.wants("tv", d.DeviceCode, "")
		if a.ExpiresIn != 3600 || a.RefreshToken == "" || a.Scope != "offline_access "+scopes.Calendars || a.AccessToken == "" {
			t.Errorf("token of %d s with scope %q and refresh token %t", a.ExpiresIn, a.Scope, a.RefreshToken != "")
		}
		made := r.people.made()
		if len(made) != 1 || made[0].ClientID != "tv" || r.people.accounts[made[0].AccountID].UpstreamSubject != "alice" {
			t.Errorf("grants %+v, want one of alice with tv", made)
		}
	})
}

func TestR19DeviceCodeReplayed(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]func(r *deviceRig, d issuer.DeviceAuthorization){
		"as it is":       func(*deviceRig, issuer.DeviceAuthorization) {},
		"after its time": func(*deviceRig, issuer.DeviceAuthorization) { time.Sleep(9 * time.Minute) },
		"by another client as well": func(r *deviceRig, d issuer.DeviceAuthorization) {
			r.wants("frame", d.DeviceCode, oidc.CodeInvalidGrant)
		},
	} {
		inBubble(t, `"on"`, func(t *testing.T, r *deviceRig) {
			d := r.asked("tv")
			time.Sleep(9 * time.Minute)
			r.answers(r.signIn(d.UserCode, "browser", "alice"), "browser", true)
			r.wants("tv", d.DeviceCode, "")
			between(r, d)
			if _, err := r.poll("tv", d.DeviceCode); err == nil {
				t.Errorf("%s: a redeemed code is redeemed again", name)
			}
			if made := r.people.made(); len(made) != 1 || made[0].EndedReason != "replay" {
				t.Errorf("%s: grants %+v, want one that the replay ended", name, made)
			}
		})
	}
}

// What was redeemed stays redeemed if the cache gets its entries back: SQL decides (R19).
func TestR19DeviceCodeReplayedWithItsEntriesBack(t *testing.T) {
	t.Parallel()
	inBubble(t, `"on"`, func(t *testing.T, r *deviceRig) {
		keeps := &undeletable{Cache: r.Cache}
		r.Cache, r.Begun = keeps, &undeletable{Cache: r.Begun}
		d := r.asked("tv")
		r.answers(r.signIn(d.UserCode, "browser", "alice"), "browser", true)
		r.wants("tv", d.DeviceCode, "")
		time.Sleep(5 * time.Second)
		r.wants("tv", d.DeviceCode, oidc.CodeInvalidGrant)
		if made := r.people.made(); len(made) != 1 || made[0].EndedReason != "replay" {
			t.Errorf("grants %+v, want one that the replay ended", made)
		}
	})
}

// undeletable is a cache that keeps device entries whatever is said.
type undeletable struct{ issuer.Cache }

func (u *undeletable) Delete(ctx context.Context, key string) error {
	if strings.HasPrefix(key, "device") {
		return nil
	}
	return u.Cache.Delete(ctx, key)
}

// "authorization_pending", "slow_down": "the interval MUST be increased by 5 seconds
// for this and all subsequent requests".
func TestRFC8628Section3_5SlowDown(t *testing.T) {
	t.Parallel()
	inBubble(t, `"on"`, func(t *testing.T, r *deviceRig) {
		d, other := r.asked("tv"), r.asked("tv")
		r.wants("tv", d.DeviceCode, oidc.CodeAuthorizationPending)
		time.Sleep(5 * time.Second)
		r.wants("tv", d.DeviceCode, oidc.CodeAuthorizationPending)
		time.Sleep(3 * time.Second)
		r.wants("tv", d.DeviceCode, oidc.CodeSlowDown) // from now on 10 s
		r.wants("tv", other.DeviceCode, oidc.CodeAuthorizationPending)
		time.Sleep(6 * time.Second)
		r.wants("tv", d.DeviceCode, oidc.CodeSlowDown) // from now on 15 s
		r.wants("tv", other.DeviceCode, oidc.CodeAuthorizationPending)
		time.Sleep(10 * time.Second)
		r.wants("tv", d.DeviceCode, oidc.CodeSlowDown) // from now on 20 s
		time.Sleep(20 * time.Second)
		r.wants("tv", d.DeviceCode, oidc.CodeAuthorizationPending)
		time.Sleep(15 * time.Second)
		r.wants("tv", d.DeviceCode, oidc.CodeSlowDown)
	})
}

// Of polls at the same time one gets through, so that who repeats a request does not
// end the grant that it makes.
func TestR19DevicePollsAtTheSameTime(t *testing.T) {
	t.Parallel()
	inBubble(t, `"on"`, func(t *testing.T, r *deviceRig) {
		d := r.asked("tv")
		r.answers(r.signIn(d.UserCode, "browser", "alice"), "browser", true)
		var tokens sync.Map
		var all sync.WaitGroup
		for n := range 10 {
			all.Go(func() {
				_, err := r.poll("tv", d.DeviceCode)
				tokens.Store(n, oidc.CodeOf(err))
			})
		}
		all.Wait()
		count := map[any]int{}
		tokens.Range(func(_, code any) bool { count[code]++; return true })
		if count[""] != 1 {
			t.Errorf("answers %v, want one token", count)
		}
	})
}

func TestRFC8628Section3_5Denied(t *testing.T) {
	t.Parallel()
	inBubble(t, `"on"`, func(t *testing.T, r *deviceRig) {
		d := r.asked("tv")
		if got := r.answers(r.signIn(d.UserCode, "browser", "alice"), "browser", false); got != issuer.DeviceDenied {
			t.Errorf("result %q, want denied", got)
		}
		r.wants("tv", d.DeviceCode, oidc.CodeAccessDenied)
		time.Sleep(5 * time.Second)
		r.wants("tv", d.DeviceCode, oidc.CodeAccessDenied)

		// "No, I did not start this" before any sign-in.
		d = r.asked("tv")
		if err := r.RefuseDevice(t.Context(), r.realm, typed(d.UserCode, "browser")); err != nil {
			t.Fatalf("RefuseDevice: %v", err)
		}
		r.wants("tv", d.DeviceCode, oidc.CodeAccessDenied)
		if _, err := r.BeginDevice(t.Context(), r.realm, typed(d.UserCode, "browser")); !errors.Is(err, issuer.ErrUserCode) {
			t.Errorf("BeginDevice after no: %v, want ErrUserCode", err)
		}
	})
}

func TestRFC8628Section3_5Expired(t *testing.T) {
	t.Parallel()
	inBubble(t, `"on"`, func(t *testing.T, r *deviceRig) {
		d, late := r.asked("tv"), r.asked("tv")
		ticket := r.signIn(late.UserCode, "browser", "alice")
		time.Sleep(10*time.Minute - time.Second)
		r.wants("tv", d.DeviceCode, oidc.CodeAuthorizationPending)
		time.Sleep(time.Second)
		r.wants("tv", d.DeviceCode, oidc.CodeExpiredToken)
		if _, err := r.Device(t.Context(), r.realm, typed(d.UserCode, "browser")); !errors.Is(err, issuer.ErrUserCode) {
			t.Errorf("Device after ten minutes: %v, want ErrUserCode", err)
		}
		if got := r.answers(ticket, "browser", true); got != issuer.DeviceFailed {
			t.Errorf("yes after ten minutes: result %q, want failed", got)
		}
		r.wants("tv", late.DeviceCode, oidc.CodeExpiredToken)
		if made := r.people.made(); len(made) != 0 {
			t.Errorf("grants %+v, want none", made)
		}
	})
}

// A yes in the last second does not make the ten minutes longer.
func TestR16AllowedTooLateToBeRedeemed(t *testing.T) {
	t.Parallel()
	inBubble(t, `"on"`, func(t *testing.T, r *deviceRig) {
		d := r.asked("tv")
		ticket := r.signIn(d.UserCode, "browser", "alice")
		time.Sleep(10*time.Minute - time.Second)
		if got := r.answers(ticket, "browser", true); got != issuer.DeviceAllowed {
			t.Errorf("result %q, want allowed", got)
		}
		time.Sleep(time.Second)
		r.wants("tv", d.DeviceCode, oidc.CodeExpiredToken)
	})
}

func TestRFC8628Section3_4Refusals(t *testing.T) {
	t.Parallel()
	inBubble(t, `"on"`, func(t *testing.T, r *deviceRig) {
		d := r.asked("tv")
		r.answers(r.signIn(d.UserCode, "browser", "alice"), "browser", true)
		for range 3 {
			r.wants("frame", d.DeviceCode, oidc.CodeInvalidGrant)
		}
		r.wants("tv", "", oidc.CodeInvalidRequest)
		r.wants("tv", "spd_x", oidc.CodeInvalidGrant)
		r.wants("tv", d.UserCode, oidc.CodeInvalidGrant)
		r.wants("tv", "spd_"+strings.Repeat("A", 43), oidc.CodeExpiredToken)
		r.wants("tv", d.DeviceCode, "") // another client's polls have used up nothing and slowed nobody down
	})
}

// Whatever of the cache is lost, the device starts again and nothing worse.
func TestR19DeviceCacheEmptied(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		begun, kept bool
		want        string
	}{
		"requests":  {begun: true, want: oidc.CodeExpiredToken},
		"answers":   {kept: true, want: oidc.CodeAuthorizationPending},
		"all of it": {begun: true, kept: true, want: oidc.CodeExpiredToken},
	} {
		inBubble(t, `"on"`, func(t *testing.T, r *deviceRig) {
			d := r.asked("tv")
			r.answers(r.signIn(d.UserCode, "browser", "alice"), "browser", true)
			fresh := newDeviceRig(t, `"on"`)
			if c.begun {
				r.Begun = fresh.Begun
			}
			if c.kept {
				r.Cache = fresh.Cache
			}
			if _, err := r.poll("tv", d.DeviceCode); oidc.CodeOf(err) != c.want {
				t.Errorf("%s lost: %v, want %s", name, err, c.want)
			}
			if made := r.people.made(); len(made) != 0 {
				t.Errorf("%s lost: grants %+v, want none", name, made)
			}
		})
	}
}

// The first browser that says yes has the device; a second one is refused, before and
// after the answer, and cannot say no either.
func TestR16UserCodeInAnotherBrowser(t *testing.T) {
	t.Parallel()
	inBubble(t, `"on"`, func(t *testing.T, r *deviceRig) {
		d := r.asked("tv")
		if _, err := r.Device(t.Context(), r.realm, typed(d.UserCode, "thief")); err != nil {
			t.Fatalf("looking takes nothing: %v", err)
		}
		ticket := r.signIn(d.UserCode, "browser", "alice")
		refused := func(when string) {
			t.Helper()
			thief := typed(d.UserCode, "thief")
			if _, err := r.Device(t.Context(), r.realm, thief); !errors.Is(err, issuer.ErrUserCode) {
				t.Errorf("%s: Device in another browser: %v, want ErrUserCode", when, err)
			}
			if _, err := r.BeginDevice(t.Context(), r.realm, thief); !errors.Is(err, issuer.ErrUserCode) {
				t.Errorf("%s: BeginDevice in another browser: %v, want ErrUserCode", when, err)
			}
			if err := r.RefuseDevice(t.Context(), r.realm, thief); !errors.Is(err, issuer.ErrUserCode) {
				t.Errorf("%s: RefuseDevice in another browser: %v, want ErrUserCode", when, err)
			}
		}
		refused("before the answer")
		again := r.signIn(d.UserCode, "browser", "bob") // its own browser may begin again, as somebody else
		if got := r.answers(again, "browser", true); got != issuer.DeviceAllowed {
			t.Errorf("result %q, want allowed", got)
		}
		if got := r.answers(ticket, "browser", true); got != issuer.DeviceFailed {
			t.Errorf("second answer: result %q, want failed: the first counts", got)
		}
		refused("after the answer")
		if _, err := r.Device(t.Context(), r.realm, typed(d.UserCode, "browser")); !errors.Is(err, issuer.ErrUserCode) {
			t.Errorf("an answered code in its browser: %v, want ErrUserCode", err)
		}
		r.wants("tv", d.DeviceCode, "")
		made := r.people.made()
		if len(made) != 1 || r.people.accounts[made[0].AccountID].UpstreamSubject != "bob" {
			t.Errorf("grants %+v, want one of bob, who answered first", made)
		}
	})
}

// Who lost the device to another browser, because the cache lost who had it, gives it to nobody.
func TestR16DeviceLostToAnotherBrowser(t *testing.T) {
	t.Parallel()
	inBubble(t, `"on"`, func(t *testing.T, r *deviceRig) {
		d := r.asked("tv")
		first := r.signIn(d.UserCode, "browser", "alice")
		a, err := r.BeginDevice(t.Context(), r.realm, typed(d.UserCode, "browser"))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Begun.Delete(t.Context(), "device-browser:1:example:"+a.Device); err != nil {
			t.Fatal(err)
		}
		if got := r.answers(first, "browser", true); got != issuer.DeviceFailed {
			t.Errorf("nobody has the device: result %q, want failed", got)
		}
		again := r.signIn(d.UserCode, "browser", "alice")
		if err := r.Begun.Delete(t.Context(), "device-browser:1:example:"+a.Device); err != nil {
			t.Fatal(err)
		}
		second := r.signIn(d.UserCode, "other browser", "bob")
		if got := r.answers(again, "browser", true); got != issuer.DeviceFailed {
			t.Errorf("another browser has the device: result %q, want failed", got)
		}
		if got := r.answers(second, "other browser", true); got != issuer.DeviceAllowed {
			t.Errorf("the browser that has the device: result %q, want allowed", got)
		}
	})
}

// Of two answers at the same moment the first counts, and the second says that it did not.
func TestR16DeviceAnsweredTwiceAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, `"on"`, func(t *testing.T, r *deviceRig) {
		d := r.asked("tv")
		no, yes := r.signIn(d.UserCode, "browser", "alice"), r.signIn(d.UserCode, "browser", "alice")
		seen := r.Cache
		r.Cache = unseen{seen} // both look before either has answered
		if got := r.answers(no, "browser", false); got != issuer.DeviceDenied {
			t.Errorf("first: result %q, want denied", got)
		}
		if got := r.answers(yes, "browser", true); got != issuer.DeviceFailed {
			t.Errorf("second: result %q, want failed", got)
		}
		r.Cache = seen
		r.wants("tv", d.DeviceCode, oidc.CodeAccessDenied)
	})
}

// unseen is a cache in which no answer to a device is seen yet.
type unseen struct{ issuer.Cache }

func (u unseen) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if strings.HasPrefix(key, "device-answer:") {
		return nil, false, nil
	}
	return u.Cache.Get(ctx, key)
}

// "the authorization server SHOULD rate-limit" guesses: by address, and all addresses together.
func TestRFC8628Section5_1Guesses(t *testing.T) {
	t.Parallel()
	inBubble(t, `"on"`, func(t *testing.T, r *deviceRig) {
		d := r.asked("tv")
		guess := func(code, from string) error {
			_, err := r.Device(t.Context(), r.realm, issuer.Typed{Code: code, Browser: "browser", From: from})
			return err
		}
		for n := range 20 {
			if err := guess("BBBB-BBBB", "192.0.2.1"); !errors.Is(err, issuer.ErrUserCode) {
				t.Fatalf("guess %d: %v, want ErrUserCode", n, err)
			}
		}
		if err := guess(d.UserCode, "192.0.2.1"); !errors.Is(err, issuer.ErrGuesses) {
			t.Errorf("the right code after 20 guesses: %v, want ErrGuesses", err)
		}
		if err := guess(d.UserCode, "192.0.2.2"); err != nil {
			t.Errorf("the right code from another address: %v", err)
		}
		time.Sleep(time.Minute)
		if err := guess(d.UserCode, "192.0.2.1"); err != nil {
			t.Errorf("the right code after a minute: %v", err)
		}
		tried := 0
		for ; tried < 22_000; tried++ {
			if err := guess("BBBB-BBBB", "2001:db8::"+time.Duration(tried).String()); errors.Is(err, issuer.ErrGuesses) {
				break
			}
		}
		if tried < 19_000 || tried > 20_000 {
			t.Errorf("many addresses guess %d times, want up to 20,000", tried)
		}
		if err := guess(d.UserCode, "203.0.113.9"); !errors.Is(err, issuer.ErrGuesses) {
			t.Errorf("a new address after that: %v, want ErrGuesses", err)
		}
	})
}

// A code means nothing at another tenant.
func TestR3UserCodeAtAnotherTenant(t *testing.T) {
	t.Parallel()
	r := newDeviceRig(t, `"on"`)
	d := r.asked("tv")
	other := *r.realm
	other.Name = "other"
	if _, err := r.Device(t.Context(), &other, typed(d.UserCode, "browser")); !errors.Is(err, issuer.ErrUserCode) {
		t.Errorf("Device at another tenant: %v, want ErrUserCode", err)
	}
}

// away is a cache that does not answer.
type away struct{ issuer.Cache }

func (away) Get(context.Context, string) ([]byte, bool, error) { return nil, false, errAway }

func (away) Set(context.Context, string, []byte, time.Duration) error { return errAway }

func (away) Add(context.Context, string, []byte, time.Duration) (bool, error) { return false, errAway }

func (away) Allow(context.Context, string, int, time.Duration) (bool, time.Duration, error) {
	return false, 0, errAway
}

// An outage ends nothing and lets nobody guess.
func TestRFC8628OutageIsNoAnswer(t *testing.T) {
	t.Parallel()
	r := newDeviceRig(t, `"on"`)
	d := r.asked("tv")
	begun, limits := r.Begun, r.Limits
	r.Begun = away{}
	if _, err := r.ask(url.Values{"client_id": {"tv"}, "scope": {scopes.Calendars}}); oidc.CodeOf(err) != oidc.CodeTemporarilyUnavailable {
		t.Errorf("device authorization: %v, want temporarily_unavailable", err)
	}
	r.wants("tv", d.DeviceCode, oidc.CodeTemporarilyUnavailable)
	if _, err := r.Device(t.Context(), r.realm, typed(d.UserCode, "browser")); oidc.CodeOf(err) != oidc.CodeTemporarilyUnavailable {
		t.Errorf("Device: %v, want temporarily_unavailable", err)
	}
	r.Begun, r.Limits = begun, away{}
	if _, err := r.Device(t.Context(), r.realm, typed(d.UserCode, "browser")); oidc.CodeOf(err) != oidc.CodeTemporarilyUnavailable {
		t.Errorf("Device without counters: %v, want temporarily_unavailable", err)
	}
	r.Limits = limits
	r.wants("tv", d.DeviceCode, oidc.CodeAuthorizationPending)
}

// TestR16NoAppPasswordsByDevice: neither by the word itself, whatever else is asked for, nor by a word that covers it.
func TestR16NoAppPasswordsByDevice(t *testing.T) {
	t.Parallel()
	r := newDeviceRig(t, `"on"`)
	const wider = "urn:example:scope:everything"
	words := map[string]string{"en": "everything"}
	catalogue, err := r.realm.Catalogue.With([]scopes.Scope{{Name: wider, Includes: []string{oidc.ScopeAppPassword, scopes.Calendars}, Title: words, Text: words}})
	if err != nil {
		t.Fatal(err)
	}
	r.realm.Catalogue = catalogue
	for i := range r.realm.Services {
		r.realm.Services[i].AppPasswords = true
		r.realm.Services[i].Scopes = append(r.realm.Services[i].Scopes, wider)
	}
	for scope, want := range map[string]string{
		scopes.Calendars: "", oidc.ScopeAppPassword: oidc.CodeInvalidScope, scopes.Calendars + " " + oidc.ScopeAppPassword: oidc.CodeInvalidScope,
		wider: oidc.CodeInvalidScope, "openid " + wider: oidc.CodeInvalidScope,
	} {
		if _, err := r.ask(url.Values{"client_id": {"tv"}, "scope": {scope}}); oidc.CodeOf(err) != want {
			t.Errorf("scope %q: %v, want %q", scope, err, want)
		}
	}
}
