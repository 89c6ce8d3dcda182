// Package storetest is the suite that every engine behind internal/store passes:
// the contracts of directory.Store, issuer.Store, keys.Store and audit.Log, that
// no tenant sees another one's, and who wins when many ask at once. What only one
// engine has, files and their modes, is tested beside that engine.
package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/oidc/issuer"
	"signpost/oidc/keys"
	"signpost/scopes"
)

// Engine is what a store does.
type Engine interface {
	directory.Store
	issuer.Store
	keys.Store
	audit.Log
	issuer.Feed
	RecordAll(ctx context.Context, events []audit.Event) error
	Ping(ctx context.Context) error
	Revision(ctx context.Context) (int64, error)
	Watch(ctx context.Context, every time.Duration, look func(revision int64)) error
	Nudge()
	KeepKey(ctx context.Context) error
	CheckKey(ctx context.Context) error
	Registration(ctx context.Context, tenant string, idHash []byte) (metadata []byte, found bool, err error)
	KeepBaseURL(ctx context.Context, base string) error
	BaseURL(ctx context.Context) (string, error)
}

// Store is a new, migrated and empty database with an engine on it.
type Store struct {
	Engine
	// OnRing sets what the engine calls after a change that raised the revision.
	OnRing func(func())
	// Again opens the same database a second time, as another process would,
	// and closes it when the test ends.
	Again func(t *testing.T) Engine
	// Rows runs a plain query past the engine and returns each row as text,
	// its columns joined by "|", null as "NULL".
	Rows func(t *testing.T, query string) []string
}

// Run runs the suite. open returns a store of its own for every call and closes
// it when the test ends.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s Store)
	}{
		{"TenantsAreEmptyAtFirst", testTenantsEmpty},
		{"TenantsComeBackAsSaved", testTenantsRoundTrip},
		{"TenantsKeepTheOrderOfFirstDeclaration", testTenantsOrder},
		{"ServicesComeBackByOrder", testServiceOrder},
		{"SavingATenantReplacesItsFacts", testSaveReplaces},
		{"SavingATenantKeepsItsPeopleAndKeys", testSaveKeepsPeople},
		{"RemovingATenantRemovesAllButTheAudit", testRemove},
		{"RemovingAnUnknownTenantChangesNothing", testRemoveUnknown},
		{"FactsMoveBetweenTenantsInOneStep", testFactsMove},
		{"FactsOfAnotherTenantAreRefused", testFactsTaken},
		{"SavingFromAStaleRevisionConflicts", testStaleRevision},
		{"SavingAfterAGrantEndedIsNoConflict", testBellIsNoConflict},
		{"OfManySaversOneWins", testRacingSavers},
		{"TenantsAreReadAsOfOneMoment", testTenantsAreOneMoment},
		{"TenantsHaveManyDomains", testManyDomains},
		{"ClientSecretsAreSealed", testSecretsSealed},
		{"ClientPolicyComesBackAsSaved", testClientPolicy},

		{"AccountsComeBackAsSaved", testAccounts},
		{"AccountsAreFoundByPersonAndName", testAccountsFound},
		{"R1AnAccountIsIssuerAndSubject", testR1Identity},
		{"R1ASecondClaimantIsRefused", testR1SecondClaimant},
		{"R1ANameGivenUpIsFree", testR1NameGivenUp},
		{"R1ANameGoesToWhoIsSpokenFor", testR1NameGoesToWhoIsSpokenFor},
		{"R1RacingClaimantsOneWins", testR1RacingClaimants},
		{"R1RacingSignInsMakeOneAccount", testR1RacingSignIns},
		{"R1FactsChangeDuringSignIns", testR1FactsChangeDuringSignIns},
		{"R1AHolderSignsInAsItsNameGoes", testR1AHolderSignsInAsItsNameGoes},

		{"GrantsComeBackAsCreated", testGrants},
		{"GrantsNeedAnAccount", testGrantWithoutAccount},
		{"GrantsOfAnAccountAreThoseThatLive", testGrantsOfAccount},
		{"EndingAGrantKeepsTheFirstReason", testEndGrant},
		{"EndingGrantsOfAnAccountOrAClient", testEndGrants},
		{"OfManyEndsOneRings", testRacingEnds},
		{"OfManyEndsOfAllOneRings", testRacingEndsOfAll},
		{"R19AReplayEndsTheFirstGrant", testR19Replay},
		{"R19EndReplayed", testR19EndReplayed},
		{"R19RacingRedemptionsOneWins", testR19Race},
		{"R19AReplayAtAnotherTenantEndsNothing", testR19OtherTenant},

		{"R12ConsentIsRemembered", testR12Consent},
		{"R12RacingConsents", testR12RacingConsents},
		{"R12ConsentIsForgotten", testR12ForgottenConsent},
		{"R14ARegistrationIsKeptWithTheFirstGrant", testR14Registration},
		{"R14RacingGrantsKeepOneRegistration", testR14RacingGrants},

		{"RefreshChangesNothing", testRefresh},
		{"R18FirstUse", testR18FirstUse},
		{"R18RepetitionInTheWindow", testR18Repetition},
		{"R18RefusalsEndTheFamily", testR18Refusals},
		{"R18EndedUnknownAndForeign", testR18NotAnswered},
		{"R18RacingRotationsOneWins", testR18Race},
		{"R18RacingRotationsWithinTheLimitAllSucceed", testR18RaceWithinLimit},
		{"R18AUseMeetsTheEnd", testR18UseMeetsEnd},

		{"TheBaseURLIsKept", testBaseURL},
		{"TheSecretKeyIsKnownAgain", testKeyCheck},

		{"KeysComeBackOldestFirst", testKeys},
		{"OfManyKeysTheFirstIsKept", testRacingKeys},
		{"KeysTakeEachOthersPlace", testReplaceKey},
		{"WhatHeadsNoLineIsNotReplaced", testReplaceKeyRefuses},
		{"ACompromisedKeyTakesItsLineAlong", testCompromisedKey},
		{"OfManyRotationsOneWins", testRacingRotations},
		{"EventsAreRecorded", testAudit},
		{"EventsAreRecordedTogether", testAuditTogether},
		{"EventsOfStrangersAreRecorded", testAuditOfStrangers},
		{"NoTenantSeesAnothers", testIsolation},
		{"TwinsAtTwoTenantsDoNotMeet", testIsolationOfTwins},
		{"TwinFactsAtTwoTenantsDoNotMeet", testIsolationOfTwinFacts},
		{"WhatRingsTheBell", testBell},
		{"R26EndedGrantsAreTold", testEnded},
		{"R26ReplacedGrantsAreTold", testEndedByReplacement},
		{"R26EndsAreSeenInOrder", testR26EndsAreSeenInOrder},
		{"ATenantIsRemovedWhileItsGrantsEnd", testRemovalMeetsEnds},
		{"WatchSeesOwnAndForeignChanges", testWatch},
		{"WatchLooksWhenNudged", testNudge},
		{"WatchEndsWithItsContext", testWatchEnds},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

// start is when the tests happen.
var start = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

// hash makes the hash of a token or code out of a readable name.
func hash(name string) []byte {
	sum := sha256.Sum256([]byte(name))
	return sum[:]
}

// seeded is the number of the revision after seed.
const seeded = 1

// seed declares the tenants "example" and "other".
func seed(t *testing.T, s Store) {
	t.Helper()
	save(t, s, 0, exampleTenant(), otherTenant())
}

func save(t *testing.T, s Store, base int64, tenants ...directory.Tenant) int64 {
	t.Helper()
	revision, err := s.SaveTenants(t.Context(), base, tenants, nil)
	if err != nil {
		t.Fatalf("SaveTenants(base %d): %v", base, err)
	}
	return revision
}

// exampleTenant uses every field that a tenant has.
func exampleTenant() directory.Tenant {
	return directory.Tenant{
		Name:      "example",
		Placement: directory.PlacementBase,
		Title:     "Example Organisation",
		Help:      "https://example.com/help",
		Domains: []directory.Domain{
			{Name: "example.com", Verification: directory.VerificationOperator},
			{Name: "example.net", Verification: directory.VerificationOperator},
			{Name: "example.biz", Verification: directory.VerificationOperator},
		},
		IdentityProviders: []directory.IdentityProvider{
			{
				Name: "staff", Title: "Example staff", Issuer: "https://login.example.com/realms/staff",
				ClientID: "signpost", ClientSecret: "correct horse battery staple",
				Scopes: []string{"openid", "profile", "email"}, Domains: []string{"example.com", "example.net"},
				AddressClaim: "email", AddressTrust: directory.TrustEmailVerified, LoginClaim: "preferred_username", NameClaim: "name",
			},
			{
				Name: "guests", Title: "Guests", Issuer: "https://guests.example.com", ClientID: "public",
				Scopes: []string{"openid"}, Domains: []string{}, AddressTrust: directory.TrustDirectory,
			},
		},
		Services: []directory.Service{
			{
				ID: "mail", Protocol: directory.ProtocolIMAP, Title: "Mail",
				Endpoints: []directory.Endpoint{
					{Host: "imap.example.com", Port: 993, Security: directory.SecurityTLS},
					{Host: "imap.example.com", Port: 143, Security: directory.SecurityStartTLS},
				},
				Audience: "mail.example.com", Scopes: []string{"urn:ietf:params:oauth:scope:mail"},
				Authentication: []string{"oauthbearer", "xoauth2"}, Username: "{address}",
				Profile: "dovecot", Algorithm: "ES256", Lifetime: 15 * time.Minute, Credential: "sso",
				InBroad: true, DPoP: directory.DPoPAccepts, Order: 10,
			},
			{
				ID: "submission", Protocol: directory.ProtocolSubmission, Title: "Outgoing mail",
				Endpoints: []directory.Endpoint{{Host: "smtp.example.com", Port: 25, Security: directory.SecurityNone}},
				Audience:  "mail.example.com", Scopes: []string{"urn:ietf:params:oauth:scope:mail"},
				Profile: "dovecot", Algorithm: "RS256", Order: 20, Insecure: true,
			},
			{
				ID: "calendar", Protocol: directory.ProtocolCalDAV, Title: "Calendar & tasks <all>",
				Endpoints: []directory.Endpoint{{URL: "https://dav.example.com/{local}/"}},
				Audience:  "https://dav.example.com/", Scopes: []string{"urn:ietf:params:oauth:scope:calendars"},
				Profile: "rfc9068", Lifetime: 1500 * time.Millisecond, Order: 20,
			},
		},
		Scopes: []scopes.Scope{{
			Name: "urn:example:scope:tickets", Opens: []string{"https"}, Includes: []string{"urn:example:scope:tickets.read"}, Broad: true,
			Title: map[string]string{"en": "Tickets", "de": "Vorgänge"},
			Text:  map[string]string{"en": "Read and answer your tickets.", "de": "Vorgänge lesen und beantworten."},
		}},
		Clients: directory.ClientPolicy{
			RegistrationOff: true, URLsOff: true, OpenOff: true, BuiltInOff: []string{"org.example.mail", "org.example.chat"},
			Device: directory.DeviceOn,
			Allow:  []directory.ClientMatch{{ID: "https://app.example.net/client"}, {SoftwareID: "4NRB1-0XZABZI9E6-5SM3R"}, {Host: "app.example.net"}},
			Deny:   []directory.ClientMatch{{IDHash: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}, {Redirect: "com.example.bad"}},
		},
		FixedClients: []directory.FixedClient{
			{
				ID: "webmail", Name: "Webmail <of Example>",
				RedirectURIs:           []string{"https://webmail.example.com/back", "https://webmail.example.com/silent"},
				PostLogoutRedirectURIs: []string{"https://webmail.example.com/"},
				Authentication:         "client_secret_basic", SecretHash: hash("webmail's secret"), IDTokenAlgorithm: "ES256",
			},
			{
				ID: "batch", RedirectURIs: []string{}, Authentication: "private_key_jwt", JWKS: `{"keys":[]}`, DPoPBound: true,
			},
		},
		ResourceServers: []directory.ResourceServer{
			{Name: "mail-server", Audiences: []string{"mail.example.com"}, Authentication: "client_secret_basic", SecretHash: hash("mail server's secret")},
			{Name: "dav-server", Audiences: []string{"https://dav.example.com/"}, Authentication: "private_key_jwt", JWKS: `{"keys":[]}`},
		},
	}
}

func otherTenant() directory.Tenant {
	return directory.Tenant{
		Name:      "other",
		Placement: directory.PlacementPath,
		Title:     "Other Organisation",
		Domains:   []directory.Domain{{Name: "example.org", Verification: directory.VerificationOperator}},
		// The same issuer as the tenant example's, so that one person can have an account at both.
		IdentityProviders: []directory.IdentityProvider{{
			Name: "staff", Title: "Staff", Issuer: "https://login.example.com/realms/staff", ClientID: "other",
			Scopes: []string{"openid"}, Domains: []string{"example.com", "example.net"}, AddressTrust: directory.TrustEmailVerified,
		}},
	}
}

// account returns a person who has signed in at the identity provider "staff".
func account(name string) issuer.Account {
	return issuer.Account{
		ID:              base64.RawURLEncoding.EncodeToString(hash(name))[:22],
		UpstreamIssuer:  "https://login.example.com/realms/staff",
		UpstreamSubject: "upstream-" + name,
		Addresses:       []string{name + "@example.com", name + "@example.net"},
		Login:           name,
		Name:            name + " Example",
		CreatedAt:       start,
		LastSignInAt:    start,
	}
}

func saveAccount(t *testing.T, s Engine, tenant string, a issuer.Account) issuer.Account {
	t.Helper()
	saved, err := s.SaveAccount(t.Context(), tenant, a)
	if err != nil {
		t.Fatalf("SaveAccount(%s, %s): %v", tenant, a.ID, err)
	}
	return saved
}

// grant returns a grant of the account that the code of this name makes.
func grant(a issuer.Account, code string) issuer.Grant {
	return issuer.Grant{
		ID:         base64.RawURLEncoding.EncodeToString(hash("grant of " + code))[:11],
		AccountID:  a.ID,
		ClientID:   "open",
		Scopes:     "openid offline_access urn:ietf:params:oauth:scope:mail",
		Resources:  []string{"mail.example.com", "https://dav.example.com/"},
		OriginHash: hash(code),
		CreatedAt:  start,
		LastUsedAt: start,
		AuthTime:   start.Add(-time.Minute),
		ACR:        "urn:example:acr:two-factors",
		AMR:        []string{"pwd", "otp"},
		Key:        "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
	}
}

// createGrant makes an account and a grant with the first refresh token "first".
func createGrant(t *testing.T, s Engine, tenant string) issuer.Grant {
	t.Helper()
	g := grant(saveAccount(t, s, tenant, account("alice")), "code at "+tenant)
	if err := s.CreateGrant(t.Context(), tenant, g, hash("first")); err != nil {
		t.Fatalf("CreateGrant(%s, %s): %v", tenant, g.ID, err)
	}
	return g
}

func loadGrant(t *testing.T, s Engine, tenant, id string) issuer.Grant {
	t.Helper()
	g, err := s.Grant(t.Context(), tenant, id)
	if err != nil {
		t.Fatalf("Grant(%s, %s): %v", tenant, id, err)
	}
	return g
}

// mustBeEnded fails unless the grant has ended for the reason.
func mustBeEnded(t *testing.T, s Engine, tenant, id, reason string) {
	t.Helper()
	g := loadGrant(t, s, tenant, id)
	if g.EndedAt.IsZero() || g.EndedReason != reason {
		t.Errorf("grant %s ended at %v for %q, want an end for %q", id, g.EndedAt, g.EndedReason, reason)
	}
}

// mustLive fails if the grant has ended.
func mustLive(t *testing.T, s Engine, tenant, id string) {
	t.Helper()
	g := loadGrant(t, s, tenant, id)
	if !g.EndedAt.IsZero() || g.EndedReason != "" {
		t.Errorf("grant %s ended at %v for %q, want it alive", id, g.EndedAt, g.EndedReason)
	}
}

func revision(t *testing.T, s Engine) int64 {
	t.Helper()
	n, err := s.Revision(t.Context())
	if err != nil {
		t.Fatalf("Revision: %v", err)
	}
	return n
}

// racers is how many ask at once.
const racers = 50

// race lets all racers go at the same moment, half of them through another
// process's engine, and returns when all have finished.
func race(t *testing.T, s Store, run func(racer int, engine Engine)) {
	t.Helper()
	engines := []Engine{s.Engine, s.Again(t)}
	gate := make(chan struct{})
	var all sync.WaitGroup
	for i := range racers {
		all.Go(func() {
			<-gate
			run(i, engines[i%len(engines)])
		})
	}
	close(gate)
	all.Wait()
}
