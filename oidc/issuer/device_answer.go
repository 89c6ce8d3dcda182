package issuer

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"signpost/directory"
	"signpost/internal/audit"
)

// Errors of the page on which a person enters a user code.
var (
	// ErrUserCode means that no device shows this code now: it was mistyped, took too
	// long, was answered, or was entered in another browser. All look alike. Let the person try again.
	ErrUserCode = errors.New("issuer: no device waits with this user code")
	// ErrGuesses means that too many codes were entered, from this address or at this
	// tenant. Answer 429 (RFC 8628, section 5.1).
	ErrGuesses = errors.New("issuer: too many user codes were entered")
)

// Bounds of guessing.
const (
	// guessSpan is for what time guesses of user codes are counted.
	guessSpan = 10 * time.Minute
	// addressGuesses is how many codes one address may enter in guessSpan: a person needs two for
	// one sign-in, and mistypes.
	addressGuesses = 20
	// tenantGuesses is how many wrong codes all addresses together may. With a hundred devices waiting
	// all the time, who uses all of it up hits one of 20^8 codes in three months, and could then sign
	// a stranger's device in to an account of his own and no more. A smaller number would let a
	// few addresses keep everybody else's devices out.
	tenantGuesses = 20_000
	// guessesClosed is for how long no code is taken after that.
	guessesClosed = time.Minute
)

// UserCode reads a code as a person types it: in either case, with whatever between the
// letters (RFC 8628, section 6.1). It returns "XXXX-XXXX", or "" if it is none.
func UserCode(typed string) string {
	if len(typed) > 64 {
		return ""
	}
	letters := strings.Map(func(c rune) rune {
		if strings.ContainsRune(userCodeLetters, c) {
			return c
		}
		return -1
	}, strings.ToUpper(typed))
	if len(letters) != 8 {
		return ""
	}
	return letters[:4] + "-" + letters[4:]
}

// Typed is a user code that somebody entered.
type Typed struct {
	Code    string // as typed
	Browser string // value of the browser's cookie
	From    string // what counts as one network address
}

// Device returns what the device with this code asked for. It changes nothing but the
// count of guesses. ErrUserCode, ErrGuesses.
func (i *Issuer) Device(ctx context.Context, r *directory.Realm, t Typed) (DeviceRequest, error) {
	letters := strings.ReplaceAll(UserCode(t.Code), "-", "")
	if letters == "" || !UsesDevices(r) {
		return DeviceRequest{}, ErrUserCode // what cannot be a code is no guess
	}
	if err := i.countGuess(ctx, "guess:1:"+r.Name+":"+t.From, addressGuesses); err != nil {
		return DeviceRequest{}, err
	}
	closed := cacheKey("guesses-closed", r.Name, "")
	if _, found, err := i.Cache.Get(ctx, closed); err != nil {
		return DeviceRequest{}, busy("look whether codes are taken", err)
	} else if found {
		return DeviceRequest{}, ErrGuesses
	}
	d, err := i.typed(ctx, r, letters, t.Browser)
	if !errors.Is(err, ErrUserCode) {
		return d, err
	}
	// Only wrong codes count against everybody. Once there are too many, right ones
	// are not taken either for a while: otherwise one could go on guessing.
	err = i.countGuess(ctx, "guesses:1:"+r.Name, tenantGuesses)
	if errors.Is(err, ErrGuesses) {
		if err := i.Cache.Set(ctx, closed, []byte{1}, guessesClosed); err != nil {
			return DeviceRequest{}, busy("take no codes for a while", err)
		}
	}
	return DeviceRequest{}, cmp.Or(err, ErrUserCode)
}

// typed returns the device whose code was entered in a browser that may go on with it.
func (i *Issuer) typed(ctx context.Context, r *directory.Realm, letters, browser string) (DeviceRequest, error) {
	name, found, err := i.Begun.Get(ctx, cacheKey("user-code", r.Name, letters))
	if err != nil {
		return DeviceRequest{}, busy("read user code", err)
	}
	if !found {
		return DeviceRequest{}, ErrUserCode
	}
	d, err := i.waiting(ctx, r, string(name))
	if err != nil {
		return DeviceRequest{}, err
	}
	holder, found, err := i.Begun.Get(ctx, deviceKey("device-browser", r.Name, d.Ask.Device))
	if err != nil {
		return DeviceRequest{}, busy("read browser of device", err)
	}
	if found && subtle.ConstantTimeCompare(holder, digest(browser)) != 1 {
		return DeviceRequest{}, ErrUserCode
	}
	return d, nil
}

// countGuess bounds how many codes are tried (RFC 8628, section 5.1). Unlike other
// limits this one is a guard: if nobody can count, nobody may guess.
func (i *Issuer) countGuess(ctx context.Context, key string, most int) error {
	ok, _, err := i.Limits.Allow(ctx, key, most, guessSpan)
	if err != nil {
		return busy("count user codes", err)
	}
	if !ok {
		return ErrGuesses
	}
	return nil
}

// waiting returns a device request that nobody has answered: else ErrUserCode.
func (i *Issuer) waiting(ctx context.Context, r *directory.Realm, name string) (DeviceRequest, error) {
	d, found, err := i.deviceRequest(ctx, r, name)
	if err != nil {
		return DeviceRequest{}, err
	}
	if !found {
		return DeviceRequest{}, ErrUserCode
	}
	_, answered, err := i.Cache.Get(ctx, deviceKey("device-answer", r.Name, name))
	if err != nil {
		return DeviceRequest{}, busy("read answer to device", err)
	}
	if answered {
		return DeviceRequest{}, ErrUserCode
	}
	return d, nil
}

// deviceRequest reads a request that has not run out.
func (i *Issuer) deviceRequest(ctx context.Context, r *directory.Realm, name string) (d DeviceRequest, found bool, err error) {
	value, found, err := i.Begun.Get(ctx, deviceKey("device", r.Name, name))
	if err != nil {
		return d, false, busy("read device request", err)
	}
	whole := found && json.Unmarshal(value, &d) == nil && i.Now().Before(d.ends())
	if !whole {
		return DeviceRequest{}, false, nil
	}
	return d, true, nil
}

// BeginDevice takes the person's word that they started this just now, and returns
// what Begin goes on with: the sign-in begins after the code was entered (R16). The first browser
// that says so has the device; another one with the same code is refused, not
// given it instead: who reads the code over a shoulder a moment later could take the
// device from its owner's sign-in and put it into their own. ErrUserCode, ErrGuesses.
func (i *Issuer) BeginDevice(ctx context.Context, r *directory.Realm, t Typed) (Ask, error) {
	d, err := i.Device(ctx, r, t)
	if err != nil {
		return Ask{}, err
	}
	if err := i.hold(ctx, r, d.Ask.Device, t.Browser); err != nil {
		return Ask{}, err
	}
	return d.Ask, nil
}

// RefuseDevice takes the person's word that they did not start this, which ends it.
// ErrUserCode, ErrGuesses.
func (i *Issuer) RefuseDevice(ctx context.Context, r *directory.Realm, t Typed) error {
	d, err := i.Device(ctx, r, t)
	if err != nil {
		return err
	}
	if err := i.hold(ctx, r, d.Ask.Device, t.Browser); err != nil {
		return err
	}
	event := audit.Event{
		At: i.Now(), Kind: audit.KindConsent, Tenant: r.Name, Client: d.Ask.ClientID, Scope: d.Ask.Scope,
		Rule: "device-not-started", Outcome: audit.Refused,
	}
	if err := i.record(ctx, event); err != nil {
		return err
	}
	_, err = i.decide(ctx, r, d, deviceAnswer{})
	return err
}

// hold gives a device to the first browser that asks.
func (i *Issuer) hold(ctx context.Context, r *directory.Realm, name, browser string) error {
	key := deviceKey("device-browser", r.Name, name)
	won, err := i.Begun.Add(ctx, key, digest(browser), deviceTTL)
	if err != nil {
		return busy("keep browser of device", err)
	}
	if won {
		return nil
	}
	return i.holds(ctx, r, name, digest(browser))
}

// holds reports ErrUserCode unless the browser with this digest has the device.
func (i *Issuer) holds(ctx context.Context, r *directory.Realm, name string, browser []byte) error {
	holder, found, err := i.Begun.Get(ctx, deviceKey("device-browser", r.Name, name))
	if err != nil {
		return busy("read browser of device", err)
	}
	if !found || subtle.ConstantTimeCompare(holder, browser) != 1 {
		return ErrUserCode
	}
	return nil
}

// deviceAnswer is the person's word. The zero value is no.
type deviceAnswer struct {
	Allowed bool `json:"allowed"`
	Code    code `json:"code"` // what was allowed, and by whom
}

// decide keeps the answer until the device request runs out, and reports whether it
// was the first.
func (i *Issuer) decide(ctx context.Context, r *directory.Realm, d DeviceRequest, a deviceAnswer) (first bool, err error) {
	value, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	first, err = i.Cache.Add(ctx, deviceKey("device-answer", r.Name, d.Ask.Device), value, d.ends().Sub(i.Now()))
	if err != nil {
		return false, busy("keep answer to device", err)
	}
	return first, nil
}

// Results of a device's sign-in, for the page at the end.
const (
	DeviceAllowed = "allowed"
	DeviceDenied  = "denied"
	DeviceFailed  = "failed" // nobody decided, or too late: start again at the device
)

// devicePage is where the browser goes when a device's sign-in is over.
func devicePage(r *directory.Realm, result string) string { return r.URL(devicePath(result)) }

// devicePath is that page below its issuer.
func devicePath(result string) string { return "/device?result=" + result }

// answerDevice hands the person's yes or no to the device and returns the page at the
// end. Only the browser that has the device can.
func (i *Issuer) answerDevice(ctx context.Context, r *directory.Realm, c Consent, allow bool) (location string, err error) {
	d, err := i.waiting(ctx, r, c.Ask.Device)
	if err == nil {
		err = i.holds(ctx, r, c.Ask.Device, c.Browser)
	}
	if errors.Is(err, ErrUserCode) {
		return devicePage(r, DeviceFailed), nil
	}
	if err != nil {
		return "", err
	}
	answer := deviceAnswer{Allowed: allow}
	if allow {
		answer.Code = c.code()
	}
	first, err := i.decide(ctx, r, d, answer)
	switch {
	case err != nil:
		return "", err
	case !first:
		return devicePage(r, DeviceFailed), nil
	case allow:
		return devicePage(r, DeviceAllowed), nil
	}
	return devicePage(r, DeviceDenied), nil
}
