package issuer

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/policy"
)

// How often a device may ask (RFC 8628, section 3.2 and section 3.5).
const (
	pollInterval = 5 * time.Second
	// slower is by how much the interval grows when a device did not wait.
	slower = 5 * time.Second
	// jitter is how much a poll may come early: lines are slow at one time and fast at the next.
	jitter = time.Second
)

// deviceGrant redeems device codes (RFC 8628, section 3.4).
type deviceGrant struct{ *Issuer }

// Basis finds what became of a device's request. Waiting and answers for somebody
// else change nothing; a poll of another client is not even counted.
func (g deviceGrant) Basis(ctx context.Context, t TokenRequest) (Basis, error) {
	if !UsesDevices(t.Realm) {
		return Basis{}, oidc.E(oidc.CodeUnsupportedGrantType, "there is no device flow here; see grant_types_supported in the metadata")
	}
	presented := t.Form.Get("device_code")
	if presented == "" {
		return Basis{}, oidc.E(oidc.CodeInvalidRequest, "device_code is missing")
	}
	if !mayUseDevices(t.Realm, t.Client) {
		return Basis{}, oidc.E(oidc.CodeUnauthorizedClient, "this client may not use the device flow here")
	}
	name := deviceName(presented)
	d, found, err := g.deviceRequest(ctx, t.Realm, name)
	if err != nil {
		return Basis{}, err
	}
	if !found {
		return Basis{}, g.over(ctx, t, presented)
	}
	switch {
	case d.Ask.ClientID != t.Client.ID:
		return Basis{}, oidc.E(oidc.CodeInvalidGrant, "the device code was issued to another client")
	case d.Ask.Key != "" && d.Ask.Key != t.Key:
		return Basis{}, oidc.E(oidc.CodeInvalidGrant, "the device code is bound to the key of the proof that came with the device authorization request; send a proof of that key")
	}
	if err := g.pace(ctx, t.Realm, name); err != nil {
		return Basis{}, err
	}
	a, err := g.answered(ctx, t.Realm, name)
	if err != nil {
		return Basis{}, err
	}
	return g.redeem(ctx, t, a.Code, presented)
}

// answered returns the person's yes.
func (g deviceGrant) answered(ctx context.Context, r *directory.Realm, name string) (a deviceAnswer, err error) {
	value, found, err := g.Cache.Get(ctx, deviceKey("device-answer", r.Name, name))
	if err != nil {
		return a, busy("read answer to device", err)
	}
	if !found {
		return a, oidc.E(oidc.CodeAuthorizationPending, "the person has not answered yet; ask again after the interval")
	}
	if err := json.Unmarshal(value, &a); err != nil {
		return a, busy("read answer to device", err)
	}
	if !a.Allowed {
		return a, oidc.E(oidc.CodeAccessDenied, "the person did not allow it")
	}
	return a, nil
}

// redeem makes the grant as for an authorization code.
func (g deviceGrant) redeem(ctx context.Context, t TokenRequest, c code, presented string) (Basis, error) {
	account, err := g.Store.Account(ctx, t.Realm.Name, c.Account)
	if err != nil {
		return Basis{}, refusal("load account", err)
	}
	name := deviceName(presented)
	b, err := g.grantBasis(t, grantMade{
		Way: policy.Device, Ask: c.Ask, Account: account, AuthTime: c.AuthTime, ACR: c.ACR, AMR: c.AMR, AllowedAt: c.AllowedAt,
		Presented: presented, CacheKey: deviceKey("device-answer", t.Realm.Name, name),
	})
	if err != nil {
		return Basis{}, err
	}
	makeGrant := b.Commit
	b.Commit = func(ctx context.Context, d policy.Decision) (string, error) {
		refresh, err := makeGrant(ctx, d)
		if err != nil {
			return "", err
		}
		// So that a replay is looked for in SQL at once. If it stays, the code looks
		// like one that waits, and redeems nothing.
		_ = g.Begun.Delete(ctx, deviceKey("device", t.Realm.Name, name))
		return refresh, nil
	}
	return b, nil
}

// over answers a code that is not known any more: redeemed, which ends what it made (R19),
// or run out, or lost with the cache. What was never made here cannot be
// told apart from these two, and starting again is right for it as well; but what does not look
// like one of our codes never was one.
func (g deviceGrant) over(ctx context.Context, t TokenRequest, presented string) error {
	if len(presented) != deviceCodeLength || presented[:len(deviceCodePrefix)] != deviceCodePrefix {
		return oidc.E(oidc.CodeInvalidGrant, "this is not a device code of this issuer")
	}
	now := g.Now()
	ended, err := g.Store.EndReplayed(ctx, t.Realm.Name, digest(presented), now.Add(-deviceTTL), now)
	if err != nil {
		return busy("look for replay", err)
	}
	if !ended {
		return oidc.E(oidc.CodeExpiredToken, "the device code has run out; start again with a new one")
	}
	g.Known.endMade(t.Realm.Name, digest(presented))
	if err := g.recordReplay(ctx, t); err != nil {
		return err
	}
	return oidc.E(oidc.CodeInvalidGrant, "the device code was redeemed before; codes work once")
}

// pace refuses a device that asks before its interval is over, and makes the
// interval longer (RFC 8628, section 3.5). Of polls at the same time one gets
// through, so a program that repeats itself does not replay its own code.
func (g deviceGrant) pace(ctx context.Context, r *directory.Realm, name string) error {
	lengthKey, waitKey := deviceKey("device-interval", r.Name, name), deviceKey("device-wait", r.Name, name)
	interval := pollInterval
	value, found, err := g.Begun.Get(ctx, lengthKey)
	if err != nil {
		return busy("read interval", err)
	}
	if found {
		if seconds, err := strconv.Atoi(string(value)); err == nil {
			interval = time.Duration(seconds) * time.Second
		}
	}
	won, err := g.Begun.Add(ctx, waitKey, []byte{1}, interval-jitter)
	if err != nil {
		return busy("keep interval", err)
	}
	if won {
		return nil
	}
	interval = min(interval+slower, deviceTTL)
	if err := g.Begun.Set(ctx, lengthKey, []byte(strconv.Itoa(int(interval/time.Second))), deviceTTL); err != nil {
		return busy("keep interval", err)
	}
	if err := g.Begun.Set(ctx, waitKey, []byte{1}, interval-jitter); err != nil {
		return busy("keep interval", err)
	}
	return oidc.E(oidc.CodeSlowDown, "wait "+strconv.Itoa(int(interval/time.Second))+" seconds between requests from now on")
}
