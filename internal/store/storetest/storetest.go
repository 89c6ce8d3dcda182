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
	"signpost/oidc/apppassword"
	"signpost/oidc/issuer"
	"signpost/oidc/keys"
)

// Engine is what a store does.
type Engine interface {
	directory.Store
	issuer.Store
	keys.Store
	audit.Log
	issuer.Feed
	audit.Reader
	apppassword.Store
	RecordAll(ctx context.Context, events []audit.Event) error
	PruneAudit(ctx context.Context, before time.Time, most int) (removed int, err error)
	PruneRefreshTokens(ctx context.Context, endedBefore time.Time, most int) (removed int, err error)
	PruneGrants(ctx context.Context, endedBefore time.Time, most int) (removed int, err error)
	PruneAppPasswords(ctx context.Context, endedBefore time.Time, most int) (removed int, err error)
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
		{"AccountsKeepTheClaimsOfTheLastSignIn", testAccountClaims},
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

		{"AppPasswordsComeBackAsKept", testAppPasswords},
		{"AppPasswordsNoteTheirUseOnceInAWhile", testAppPasswordUse},
		{"R21EndingAppPasswords", testR21EndAppPassword},
		{"R21HowTheGrantOfAnAppPasswordEnded", testR21GrantOfAppPassword},
		{"R21AppPasswordsDieWithTheAccount", testR21AppPasswordsDieWithTheAccount},
		{"AppPasswordsOfTwoTenantsDoNotMeet", testAppPasswordIsolation},
		{"OfManyAppPasswordsWithOneSelectorOneIsKept", testRacingAppPasswords},
		{"R21AppPasswordsThatLiveAreBounded", testR21BoundOfAppPasswords},
		{"R21OfManyLastAppPasswordsOneIsKept", testR21RacingForTheLastAppPassword},
		{"R21NoAppPasswordOfAnEndedSignIn", testR21AppPasswordOfEndedSignIn},
		{"R21AppPasswordsMeetTheEndOfTheirGrant", testR21AppPasswordsMeetTheEnd},
		{"R21EndOfEverythingIsRemembered", testR21EndOfEverything},
		{"R21EndedAppPasswordsAreRemovedLongAfterTheirEnd", testR21PruneAppPasswords},

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
		{"EventsComeBackAsRecorded", testEventsRoundTrip},
		{"EventsAreFoundByEveryMember", testEventsFilters},
		{"EventsAreFoundByTheirTime", testEventsTime},
		{"EventsAreReadPageByPage", testEventsPages},
		{"EventsOfStrangersAreFound", testEventsOfStrangers},
		{"OldEventsAreRemoved", testPruneAudit},
		{"TheNewestEventStays", testPruneKeepsNewest},
		{"YoungEventsAreNeverRemoved", testPruneRefusesYoung},
		{"OfManyPrunersEachEventIsRemovedOnce", testRacingPruners},
		{"R18UsedTokensStayWhileTheirFamilyLives", testR18PruneKeepsFamilies},
		{"R19EndedGrantsAreRemovedLongAfterTheirEnd", testR19PruneGrants},
		{"R21AGrantStaysWhileItsAppPasswordLives", testR21PruneKeepsGrants},
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

// account returns a person who has signed in at the identity provider "staff".
func account(name string) issuer.Account {
	return issuer.Account{
		ID:              base64.RawURLEncoding.EncodeToString(hash(name))[:22],
		UpstreamIssuer:  "https://login.example.com/realms/staff",
		UpstreamSubject: "upstream-" + name,
		Addresses:       []string{name + "@example.com", name + "@example.net"},
		Login:           name,
		Name:            name + " Example",
		Claims:          map[string]any{"department": "sales", "groups": []any{"staff", name}},
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
