package server_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"signpost/oidc/issuer"
)

// askedStore answers nothing and remembers what it was asked.
type askedStore struct {
	mu    sync.Mutex
	asked []string
}

var errAway = errors.New("store: away")

func (s *askedStore) methods() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

func (s *askedStore) away(method string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, method)
	return errAway
}

func (s *askedStore) SaveAccount(context.Context, string, issuer.Account) (issuer.Account, error) {
	return issuer.Account{}, s.away("SaveAccount")
}

func (s *askedStore) Account(context.Context, string, string) (issuer.Account, error) {
	return issuer.Account{}, s.away("Account")
}

func (s *askedStore) AccountOf(context.Context, string, string, string) (issuer.Account, error) {
	return issuer.Account{}, s.away("AccountOf")
}

func (s *askedStore) AccountByName(context.Context, string, string) (issuer.Account, error) {
	return issuer.Account{}, s.away("AccountByName")
}

func (s *askedStore) Consent(context.Context, string, string, string) (string, error) {
	return "", s.away("Consent")
}

func (s *askedStore) KeepConsent(context.Context, string, string, string, string, time.Time) error {
	return s.away("KeepConsent")
}

func (s *askedStore) ForgetConsent(context.Context, string, string, string) error {
	return s.away("ForgetConsent")
}

func (s *askedStore) Grants(context.Context, string, string) ([]issuer.Grant, error) {
	return nil, s.away("Grants")
}

func (s *askedStore) CreateGrant(context.Context, string, issuer.Grant, []byte) error {
	return s.away("CreateGrant")
}

func (s *askedStore) EndReplayed(context.Context, string, []byte, time.Time, time.Time) (bool, error) {
	return false, s.away("EndReplayed")
}

func (s *askedStore) Grant(context.Context, string, string) (issuer.Grant, error) {
	return issuer.Grant{}, s.away("Grant")
}

func (s *askedStore) EndGrant(context.Context, string, string, string, time.Time) error {
	return s.away("EndGrant")
}

func (s *askedStore) EndGrants(context.Context, string, string, string, string, time.Time) (int, error) {
	return 0, s.away("EndGrants")
}

func (s *askedStore) Refresh(context.Context, string, []byte) (issuer.Refresh, error) {
	return issuer.Refresh{}, s.away("Refresh")
}

func (s *askedStore) Rotate(context.Context, string, issuer.Rotation) ([]byte, error) {
	return nil, s.away("Rotate")
}
