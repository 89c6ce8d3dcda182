package issuer

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"math/big"
	"net/url"
	"slices"
	"time"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/clients"
	"signpost/oidc/dpop"
	"signpost/scopes"
)

// deviceTTL is how long a device may wait for its person, in all (R16).
const deviceTTL = 10 * time.Minute

// A device code is 256 bits in base64url behind its prefix.
const (
	deviceCodePrefix = "spd_"
	deviceCodeLength = len(deviceCodePrefix) + 43
)

// DeviceAuthorization is a successful answer to a device (RFC 8628, section 3.2).
type DeviceAuthorization struct {
	DeviceCode              string `json:"device_code"`
	UserCode                string `json:"user_code"`
	VerificationURI         string `json:"verification_uri"`
	VerificationURIComplete string `json:"verification_uri_complete"`
	ExpiresIn               int64  `json:"expires_in"` // seconds
	Interval                int64  `json:"interval"`   // seconds
}

// DeviceRequest is what a device asked for. It is written once; what becomes of it
// stands in entries of their own, of which the first of each kind counts, so that replicas agree.
type DeviceRequest struct {
	Ask       Ask       `json:"ask"`     // with Device; its scope is what can be granted
	Address   string    `json:"address"` // network address that the device asked from
	StartedAt time.Time `json:"started_at"`
}

func (d DeviceRequest) ends() time.Time { return d.StartedAt.Add(deviceTTL) }

// deviceKey names an entry about a device request. The name of the request is the
// digest of its device code, so nothing that is kept redeems anything.
func deviceKey(kind, tenant, name string) string { return kind + ":1:" + tenant + ":" + name }

func deviceName(deviceCode string) string {
	return base64.RawURLEncoding.EncodeToString(digest(deviceCode))
}

// mayUseDevices says which clients may (R16). Nobody but the operator vouches for clients, and whoever
// sends a link to somebody can pretend to be one of the others: the ids of those that
// came with Signpost are known to everybody too.
func mayUseDevices(r *directory.Realm, c clients.Client) bool {
	switch r.Clients.Device {
	case directory.DeviceOn:
		return true
	case directory.DeviceOff:
		return false
	}
	return c.Kind == clients.Fixed
}

// UsesDevices reports whether a tenant has a device flow at all.
func UsesDevices(r *directory.Realm) bool { return r.Clients.Device != directory.DeviceOff }

// AuthorizeDevice answers a device that wants to be signed in (RFC 8628, section
// 3.1). From is its network address. Failures are *oidc.Error.
func (i *Issuer) AuthorizeDevice(ctx context.Context, r *directory.Realm, call Call, from string) (DeviceAuthorization, error) {
	if err := once(call.Form); err != nil {
		return DeviceAuthorization{}, err
	}
	call.Form = withValues(call.Form)
	c, err := i.Clients.Authenticate(ctx, r, call.credentials())
	if err != nil {
		return DeviceAuthorization{}, err
	}
	if !mayUseDevices(r, c) {
		return DeviceAuthorization{}, oidc.E(oidc.CodeUnauthorizedClient, "this client may not use the device flow here; use the authorization code, or ask the administrator to allow it")
	}
	ask, err := i.askOfDevice(ctx, r, c, call)
	if err != nil {
		return DeviceAuthorization{}, err
	}
	ask.Authenticated = c.Confidential()
	deviceCode := secret(deviceCodePrefix)
	ask.Device = deviceName(deviceCode)
	d := DeviceRequest{Ask: ask, Address: from, StartedAt: i.Now()}
	if err := put(ctx, i.Begun, deviceKey("device", r.Name, ask.Device), d, deviceTTL); err != nil {
		return DeviceAuthorization{}, busy("keep device request", err)
	}
	userCode, err := i.newUserCode(ctx, r, ask.Device)
	if err != nil {
		return DeviceAuthorization{}, err
	}
	page := r.URL("/device")
	return DeviceAuthorization{
		DeviceCode: deviceCode, UserCode: userCode, VerificationURI: page,
		VerificationURIComplete: page + "?user_code=" + userCode,
		ExpiresIn:               int64(deviceTTL / time.Second), Interval: int64(pollInterval / time.Second),
	}, nil
}

// withValues leaves out parameters without a value (RFC 8628, section 3.1).
func withValues(form url.Values) url.Values {
	kept := url.Values{}
	for name, values := range form {
		values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
		if len(values) > 0 {
			kept[name] = values
		}
	}
	return kept
}

// askOfDevice reads what is asked for, with the key that the device proves to hold.
func (i *Issuer) askOfDevice(ctx context.Context, r *directory.Realm, c clients.Client, call Call) (Ask, error) {
	a := Ask{ClientID: c.ID}
	if asksForPasswords(r, call.Form.Get("scope")) {
		return a, oidc.E(oidc.CodeInvalidScope, "the device flow makes no app passwords; leave "+oidc.ScopeAppPassword+" out")
	}
	if err := a.readScope(r, call.Form); err != nil {
		return a, err
	}
	if err := a.readResources(r, call.Form); err != nil {
		return a, err
	}
	var err error
	a.Key, err = i.Proofs.Check(ctx, r.Name, dpop.Request{Headers: call.DPoP, Method: call.Method, URL: call.URL})
	return a, err
}

// asksForPasswords reports whether a scope makes lasting passwords, by their own word or by a wider one: too
// much for a device that somebody else may hold (R16, R21).
func asksForPasswords(r *directory.Realm, scope string) bool {
	asked, err := scopes.Parse(scope)
	return err == nil && r.Catalogue.Cover(asked, scopes.Of(oidc.ScopeAppPassword))
}

// userCodeLetters are easy to tell apart and spell no words (RFC 8628, section 6.1).
const userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"

// newUserCode takes a code that no other device of the tenant shows.
func (i *Issuer) newUserCode(ctx context.Context, r *directory.Realm, name string) (string, error) {
	for range 10 { // a code that is taken is one in millions
		code := randomUserCode()
		won, err := i.Begun.Add(ctx, cacheKey("user-code", r.Name, code), []byte(name), deviceTTL)
		if err != nil {
			return "", busy("keep user code", err)
		}
		if won {
			return code[:4] + "-" + code[4:], nil
		}
	}
	return "", busy("keep user code", errors.New("every code that was drawn is taken"))
}

// randomUserCode draws each letter with the same chance.
func randomUserCode() string {
	var code [8]byte
	for at := range code {
		n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(userCodeLetters)))) // never fails, see secret
		code[at] = userCodeLetters[n.Int64()]
	}
	return string(code[:])
}
