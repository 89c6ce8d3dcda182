package servertest

import (
	"testing"

	"signpost/internal/service"
)

// Grants lists sign-ins, as "signpost grants list" would, beside the running server.
func (s *Server) Grants(t testing.TB, tenant, address string) ([]service.Grant, error) {
	t.Helper()
	return service.ListGrants(t.Context(), s.Config, tenant, address)
}

// EndGrants ends the sign-ins of an address, with one client or with all, as "signpost grants
// end" would, beside the running server, and returns how many there were.
func (s *Server) EndGrants(t testing.TB, tenant, address, client string) (int, error) {
	t.Helper()
	ended, err := service.EndGrants(t.Context(), s.Config, service.EndOptions{Tenant: tenant, Address: address, Client: client, Now: s.Clock.Now})
	return ended.Grants, err
}

// EndGrant ends the sign-in with an id in the same way.
func (s *Server) EndGrant(t testing.TB, tenant, id string) error {
	t.Helper()
	_, err := service.EndGrants(t.Context(), s.Config, service.EndOptions{Tenant: tenant, Grant: id, Now: s.Clock.Now})
	return err
}
