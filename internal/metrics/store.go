package metrics

import (
	"context"
	"errors"
	"time"

	"signpost/oidc/issuer"
)

// ObservedStore times every call of a store of accounts and grants.
func (m *Metrics) ObservedStore(next issuer.Store) issuer.Store { return observedStore{next, m} }

type observedStore struct {
	issuer.Store
	m *Metrics
}

// answered reports whether err is how a store that works says no.
func answered(err error) bool {
	for _, answer := range []error{
		issuer.ErrNotFound, issuer.ErrTaken, issuer.ErrUnvouched, issuer.ErrReplayed, issuer.ErrReused, issuer.ErrEnded,
	} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

func (s observedStore) ended(ctx context.Context, operation string, start time.Time, err *error) {
	fault := *err
	if answered(fault) {
		fault = nil
	}
	s.m.Call(ctx, Database, operation, start, fault)
}

func (s observedStore) SaveAccount(ctx context.Context, tenant string, a issuer.Account) (_ issuer.Account, err error) {
	defer s.ended(ctx, "save_account", time.Now(), &err)
	return s.Store.SaveAccount(ctx, tenant, a)
}

func (s observedStore) Account(ctx context.Context, tenant, id string) (_ issuer.Account, err error) {
	defer s.ended(ctx, "account", time.Now(), &err)
	return s.Store.Account(ctx, tenant, id)
}

func (s observedStore) AccountOf(ctx context.Context, tenant, upstreamIssuer, upstreamSubject string) (_ issuer.Account, err error) {
	defer s.ended(ctx, "account_of", time.Now(), &err)
	return s.Store.AccountOf(ctx, tenant, upstreamIssuer, upstreamSubject)
}

func (s observedStore) AccountByName(ctx context.Context, tenant, name string) (_ issuer.Account, err error) {
	defer s.ended(ctx, "account_by_name", time.Now(), &err)
	return s.Store.AccountByName(ctx, tenant, name)
}

func (s observedStore) Consent(ctx context.Context, tenant, accountID, clientID string) (_ string, err error) {
	defer s.ended(ctx, "consent", time.Now(), &err)
	return s.Store.Consent(ctx, tenant, accountID, clientID)
}

func (s observedStore) KeepConsent(ctx context.Context, tenant, accountID, clientID, granted string, now time.Time) (err error) {
	defer s.ended(ctx, "keep_consent", time.Now(), &err)
	return s.Store.KeepConsent(ctx, tenant, accountID, clientID, granted, now)
}

func (s observedStore) ForgetConsent(ctx context.Context, tenant, accountID, clientID string) (err error) {
	defer s.ended(ctx, "forget_consent", time.Now(), &err)
	return s.Store.ForgetConsent(ctx, tenant, accountID, clientID)
}

func (s observedStore) CreateGrant(ctx context.Context, tenant string, g issuer.Grant, refresh []byte) (err error) {
	defer s.ended(ctx, "create_grant", time.Now(), &err)
	return s.Store.CreateGrant(ctx, tenant, g, refresh)
}

func (s observedStore) EndReplayed(ctx context.Context, tenant string, originHash []byte, since, now time.Time) (_ bool, err error) {
	defer s.ended(ctx, "end_replayed", time.Now(), &err)
	return s.Store.EndReplayed(ctx, tenant, originHash, since, now)
}

func (s observedStore) Grant(ctx context.Context, tenant, id string) (_ issuer.Grant, err error) {
	defer s.ended(ctx, "grant", time.Now(), &err)
	return s.Store.Grant(ctx, tenant, id)
}

func (s observedStore) Grants(ctx context.Context, tenant, accountID string) (_ []issuer.Grant, err error) {
	defer s.ended(ctx, "grants", time.Now(), &err)
	return s.Store.Grants(ctx, tenant, accountID)
}

func (s observedStore) EndGrant(ctx context.Context, tenant, id, reason string, now time.Time) (err error) {
	defer s.ended(ctx, "end_grant", time.Now(), &err)
	return s.Store.EndGrant(ctx, tenant, id, reason, now)
}

func (s observedStore) EndGrants(ctx context.Context, tenant, accountID, clientID, reason string, now time.Time) (_ int, err error) {
	defer s.ended(ctx, "end_grants", time.Now(), &err)
	return s.Store.EndGrants(ctx, tenant, accountID, clientID, reason, now)
}

func (s observedStore) Refresh(ctx context.Context, tenant string, hash []byte) (_ issuer.Refresh, err error) {
	defer s.ended(ctx, "refresh", time.Now(), &err)
	return s.Store.Refresh(ctx, tenant, hash)
}

func (s observedStore) Rotate(ctx context.Context, tenant string, r issuer.Rotation) (_ []byte, err error) {
	defer s.ended(ctx, "rotate", time.Now(), &err)
	return s.Store.Rotate(ctx, tenant, r)
}
