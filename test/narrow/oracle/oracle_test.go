package oracle_test

import (
	"strings"
	"testing"
	"time"

	"signpost/test/narrow/oracle"
)

const (
	here = "https://id.a.test"
	imap = "imap.a.test"
	dav  = "https://dav.a.test/"
	bank = "https://bank.a.test/"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// world is a small one: mail includes read, and read includes subjects.
func world() oracle.World {
	return oracle.World{
		here: {
			Includes: map[string][]string{"mail": {"read"}, "read": {"subjects"}, "all": {"mail", "files"}},
			Services: []oracle.Service{
				{Audience: imap, Hosts: []string{"mail.a.test"}, Scopes: []string{"mail"}, Lifetime: 15 * time.Minute, DPoP: "none"},
				{Audience: "pop.a.test", Hosts: []string{"shared.a.test"}, Scopes: []string{"mail"}, Lifetime: 15 * time.Minute, DPoP: "none"},
				{Audience: "sieve.a.test", Hosts: []string{"shared.a.test"}, Scopes: []string{"mail"}, Lifetime: 15 * time.Minute, DPoP: "none"},
				{Audience: "chat.a.test", Hosts: []string{"talk.a.test"}, Scopes: []string{"mail"}, Lifetime: 15 * time.Minute, DPoP: "none"},
				{Audience: "board.a.test", Hosts: []string{"talk.a.test"}, Scopes: []string{"mail"}, Lifetime: 15 * time.Minute, DPoP: "none", Groups: []string{"board"}},
				{Audience: "robot.a.test", Hosts: []string{"talk.a.test"}, Scopes: []string{"mail"}, Lifetime: 15 * time.Minute, DPoP: "none", Clients: []string{"careful"}},
				{Audience: dav, Scopes: []string{"files"}, Lifetime: time.Hour, DPoP: "accepts", InBroad: true, AppPasswords: true},
				{Audience: dav + "safe/", Scopes: []string{"files"}, Lifetime: time.Hour, DPoP: "requires", Groups: []string{"staff"}},
				{Audience: bank, Scopes: []string{"files"}, Lifetime: time.Hour, DPoP: "none", Clients: []string{"careful"}},
			},
			People: map[string]oracle.Person{"alice": {Names: []string{"alice@a.test", "alice"}}, "bob": {Names: []string{"bob@a.test"}, Groups: []string{"staff"}}},
			Clients: map[string]oracle.Client{
				"open": {}, "other": {}, "careful": {Bound: true}, "staffroom": {Groups: []string{"staff"}},
			},
		},
		"https://id.b.test": {
			Services: []oracle.Service{{Audience: "imap.b.test", Scopes: []string{"mail"}, Lifetime: time.Hour}},
			People:   map[string]oracle.Person{"alice": {Names: []string{"alice@a.test"}}}, Clients: map[string]oracle.Client{"open": {}},
		},
	}
}

// signIn is what Alice allowed the client "open".
func signIn() oracle.Artefact {
	return oracle.Artefact{Kind: oracle.Grant, Issuer: here, Person: "alice", Client: "open", Grant: "g1", Scope: []string{"openid", "mail", "files"}}
}

// broad is a broad token of it, half an hour old.
func broad() oracle.Artefact {
	a := signIn()
	a.Kind, a.Audience, a.Ends, a.Name = oracle.Token, []string{here, dav}, now.Add(30*time.Minute), "alice@a.test"
	return a
}

// exchanged is a good exchange for the mail server's token.
func exchanged() oracle.Step {
	made := broad()
	made.Audience, made.Scope, made.Ends = []string{imap}, []string{"mail"}, now.Add(15*time.Minute)
	return oracle.Step{
		Way: oracle.ByExchange, Now: now, Client: "open", Targets: []string{imap}, Grant: signIn(), From: broad(), Made: made,
		Said: oracle.Answer{Scope: []string{"mail"}, TokenType: "Bearer", Lives: 15 * time.Minute},
	}
}

// redeemed is a good broad token for a code.
func redeemed() oracle.Step {
	made := broad()
	made.Ends = now.Add(time.Hour)
	return oracle.Step{
		Way: oracle.ByGrant, Now: now, Client: "open", Grant: signIn(), Made: made,
		Said: oracle.Answer{Scope: made.Scope, TokenType: "Bearer", Lives: time.Hour},
	}
}

// bound is exchanged with a key that everything is bound to, for the DAV server, which looks at it.
func bound() oracle.Step {
	s := exchanged()
	s.Targets, s.Made.Audience, s.Made.Scope, s.Said.Scope = []string{dav}, []string{dav}, []string{"files"}, []string{"files"}
	s.Key, s.Grant.Key, s.From.Key, s.Made.Key, s.Said.TokenType = "k1", "k1", "k1", "k1", "DPoP"
	return s
}

// password is a good app password.
func password() oracle.Step {
	s := exchanged()
	s.Way, s.From.Audience, s.Targets = oracle.ByAppPassword, []string{here}, []string{dav}
	s.Made = oracle.Artefact{
		Kind: oracle.AppPassword, Issuer: here, Person: "alice", Client: "open", Grant: "g1", Audience: []string{dav}, Scope: []string{"files"}, Name: "alice@a.test",
	}
	s.Said = oracle.Answer{Scope: []string{"files"}, TokenType: "N_A"}
	return s
}

// carries says in both places what scope was made.
func carries(s *oracle.Step, words ...string) { s.Made.Scope, s.Said.Scope = words, words }

// TestR22OracleTakesWhatIsNarrow: an oracle that finds fault with everything proves nothing either.
func TestR22OracleTakesWhatIsNarrow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		step func() oracle.Step
		edit func(s *oracle.Step)
	}{
		"an exchange":                       {exchanged, func(*oracle.Step) {}},
		"a broad token":                     {redeemed, func(*oracle.Step) {}},
		"a bound token":                     {bound, func(*oracle.Step) {}},
		"a password":                        {password, func(*oracle.Step) {}},
		"an included word":                  {exchanged, func(s *oracle.Step) { carries(s, "subjects") }},
		"an included word that was asked":   {exchanged, func(s *oracle.Step) { s.Asked = []string{"read"}; carries(s, "subjects", "read") }},
		"by host":                           {exchanged, func(s *oracle.Step) { s.Targets = []string{"mail.a.test"} }},
		"by a host where others are hidden": {exchanged, func(s *oracle.Step) { s.Targets, s.Made.Audience = []string{"talk.a.test"}, []string{"chat.a.test"} }},
		"a token that does not say whose":   {exchanged, func(s *oracle.Step) { s.Made.Client = "" }},
		"as long as the presented one":      {exchanged, func(s *oracle.Step) { s.From.Ends = s.Made.Ends }},
		"made a moment ago":                 {exchanged, func(s *oracle.Step) { s.Made.Ends = now.Add(8 * time.Minute); s.Said.Lives = 8 * time.Minute }},
		"a granted resource":                {exchanged, func(s *oracle.Step) { s.Grant.Audience = []string{imap} }},
		"by URL below":                      {bound, func(s *oracle.Step) { s.Targets = []string{dav + "alice/work"} }},
		"bound where nothing was":           {bound, func(s *oracle.Step) { s.Grant.Key, s.From.Key = "", "" }},
		"unbound where keys are looked at": {bound, func(s *oracle.Step) {
			s.Grant.Key, s.From.Key, s.Key, s.Made.Key, s.Said.TokenType = "", "", "", "", "Bearer"
		}},
		"a key dropped for a server that looks at none (R11)": {exchanged, func(s *oracle.Step) { s.Key, s.Grant.Key, s.From.Key = "k1", "k1", "k1" }},
		"bob's safe": {bound, func(s *oracle.Step) {
			s.Grant.Person, s.From.Person, s.Made.Person, s.Made.Name = "bob", "bob", "bob", "bob@a.test"
			s.Targets, s.Made.Audience = []string{dav + "safe/"}, []string{dav + "safe/"}
		}},
		"narrow by resource": {redeemed, func(s *oracle.Step) {
			s.Targets, s.Made.Audience = []string{imap}, []string{imap}
			carries(s, "mail")
		}},
		"the issuer alone":         {redeemed, func(s *oracle.Step) { s.Targets, s.Made.Audience = []string{here + "/configuration"}, []string{here} }},
		"broad without a name":     {redeemed, func(s *oracle.Step) { s.Made.Audience, s.Made.Name = []string{here}, "" }},
		"a password that lasts":    {password, func(s *oracle.Step) { s.Made.Ends = now.Add(10_000 * time.Hour) }},
		"a password without a key": {password, func(s *oracle.Step) { s.Key, s.Grant.Key, s.From.Key = "k1", "k1", "k1" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := c.step()
			c.edit(&s)
			if faults := world().Faults(s); len(faults) > 0 {
				t.Errorf("the oracle finds fault: %q\n%+v", faults, s)
			}
		})
	}
}

// TestR22OracleCatchesWhatWidens: one fake for each way in which something could widen.
func TestR22OracleCatchesWhatWidens(t *testing.T) {
	t.Parallel()
	safe := dav + "safe/"
	for name, c := range map[string]struct {
		step func() oracle.Step
		edit func(s *oracle.Step)
		want string // part of a fault
	}{
		"an issuer of nobody":          {exchanged, func(s *oracle.Step) { s.Made.Issuer = "https://evil.test" }, "nobody declared"},
		"another tenant":               {exchanged, func(s *oracle.Step) { s.Made.Issuer = "https://id.b.test" }, "another tenant"},
		"a token of another tenant":    {exchanged, func(s *oracle.Step) { s.From.Issuer = "https://id.b.test" }, "another tenant than the token's"},
		"another sign-in":              {exchanged, func(s *oracle.Step) { s.Made.Grant = "g2" }, "another sign-in"},
		"a sign-in without a name":     {exchanged, func(s *oracle.Step) { s.Made.Grant, s.Grant.Grant, s.From.Grant = "", "", "" }, "another sign-in"},
		"another person":               {exchanged, func(s *oracle.Step) { s.Made.Person = "bob" }, "another person"},
		"a person who does not exist":  {exchanged, func(s *oracle.Step) { s.Made.Person, s.From.Person, s.Grant.Person = "eve", "eve", "eve" }, "does not exist"},
		"another client":               {exchanged, func(s *oracle.Step) { s.Made.Client = "other" }, "another client"},
		"asked by another client":      {exchanged, func(s *oracle.Step) { s.Client, s.Made.Client = "other", "" }, "asked for by another client"},
		"a client that does not exist": {exchanged, func(s *oracle.Step) { s.Client, s.Made.Client, s.From.Client, s.Grant.Client = "x", "x", "x", "x" }, "client that does not exist"},
		"a client for other people": {exchanged, func(s *oracle.Step) {
			s.Client, s.Made.Client, s.From.Client, s.Grant.Client = "staffroom", "staffroom", "staffroom", "staffroom"
		}, "not for this person"},
		"after the sign-in ended":         {exchanged, func(s *oracle.Step) { s.Grant.Ended = true }, "had ended"},
		"after the token was over":        {exchanged, func(s *oracle.Step) { s.From.Ends = now }, "was over"},
		"scope beyond the token":          {exchanged, func(s *oracle.Step) { s.From.Scope = []string{"read"} }, "beyond the presented"},
		"scope beyond the sign-in":        {exchanged, func(s *oracle.Step) { s.Grant.Scope = []string{"read"} }, "beyond the sign-in"},
		"scope beyond what was asked":     {exchanged, func(s *oracle.Step) { s.Asked = []string{"subjects"} }, "beyond what was asked"},
		"a word that includes":            {exchanged, func(s *oracle.Step) { carries(s, "all") }, "beyond the presented"},
		"no scope":                        {exchanged, func(s *oracle.Step) { carries(s) }, "no scope"},
		"scope beyond the service":        {exchanged, func(s *oracle.Step) { carries(s, "mail", "files") }, "no use for"},
		"scope that does not open it":     {exchanged, func(s *oracle.Step) { carries(s, "openid") }, "does not open"},
		"broad by exchange":               {exchanged, func(s *oracle.Step) { s.Made.Audience = []string{here} }, "a broad token was made from a token"},
		"broad and more by exchange":      {exchanged, func(s *oracle.Step) { s.Made.Audience = []string{imap, here} }, "a broad token was made from a token"},
		"two audiences by exchange":       {exchanged, func(s *oracle.Step) { s.Made.Audience = []string{imap, dav} }, "several audiences"},
		"no audience":                     {exchanged, func(s *oracle.Step) { s.Made.Audience = nil }, "for nobody"},
		"from a narrow token":             {exchanged, func(s *oracle.Step) { s.From.Audience = []string{imap} }, "not broad"},
		"from one for a like issuer":      {exchanged, func(s *oracle.Step) { s.From.Audience = []string{here + "/"} }, "not broad"},
		"for another than asked":          {exchanged, func(s *oracle.Step) { s.Targets = []string{"pop.a.test"} }, "was asked for"},
		"for one of two on a host":        {exchanged, func(s *oracle.Step) { s.Targets, s.Made.Audience = []string{"shared.a.test"}, []string{"pop.a.test"} }, "was asked for"},
		"for a neighbour by URL":          {bound, func(s *oracle.Step) { s.Targets = []string{"https://dav.a.test.evil.test/"} }, "was asked for"},
		"for what lies above":             {bound, func(s *oracle.Step) { s.Targets = []string{safe + "x"} }, "was asked for"},
		"by dot segments":                 {bound, func(s *oracle.Step) { s.Targets = []string{dav + "../x"} }, "was asked for"},
		"for nothing asked":               {exchanged, func(s *oracle.Step) { s.Targets = nil }, "where [] was asked for"},
		"for two asked":                   {exchanged, func(s *oracle.Step) { s.Targets = []string{imap, imap} }, "was asked for"},
		"a service of nobody":             {exchanged, func(s *oracle.Step) { s.Targets, s.Made.Audience = []string{"x"}, []string{"x"} }, "no service of the tenant"},
		"another tenant's service":        {exchanged, func(s *oracle.Step) { s.Targets, s.Made.Audience = []string{"imap.b.test"}, []string{"imap.b.test"} }, "no service of the tenant"},
		"a service of other people":       {bound, func(s *oracle.Step) { s.Targets, s.Made.Audience = []string{safe}, []string{safe} }, "does not have"},
		"a service of other programs":     {bound, func(s *oracle.Step) { s.Targets, s.Made.Audience = []string{bank}, []string{bank} }, "not for the program"},
		"outside the granted resources":   {exchanged, func(s *oracle.Step) { s.Grant.Audience = []string{dav} }, "where the sign-in was for"},
		"longer than the token":           {exchanged, func(s *oracle.Step) { s.From.Ends = now.Add(15*time.Minute - time.Second) }, "after the presented one"},
		"longer than the service says":    {exchanged, func(s *oracle.Step) { s.Made.Ends = now.Add(15*time.Minute + time.Second) }, "longer than"},
		"without an end":                  {exchanged, func(s *oracle.Step) { s.Made.Ends = time.Time{} }, "never ends"},
		"another's login name":            {exchanged, func(s *oracle.Step) { s.Made.Name = "bob@a.test" }, "not the person's"},
		"no login name":                   {exchanged, func(s *oracle.Step) { s.Made.Name = "" }, "no login name"},
		"without the token's key":         {bound, func(s *oracle.Step) { s.Grant.Key, s.Key = "", "k2"; s.Made.Key = "k2" }, "without the key that the token"},
		"without the sign-in's key":       {bound, func(s *oracle.Step) { s.From.Key, s.Key, s.Made.Key = "", "k2", "k2" }, "without the key that the sign-in"},
		"without any key":                 {bound, func(s *oracle.Step) { s.Key, s.Made.Key, s.Said.TokenType = "", "", "Bearer" }, "without the key"},
		"bound to a key of somebody else": {bound, func(s *oracle.Step) { s.Made.Key = "k2" }, "nobody proved"},
		"a key dropped":                   {bound, func(s *oracle.Step) { s.Made.Key, s.Said.TokenType = "", "Bearer" }, "lost its key"},
		"bearer where keys are demanded": {bound, func(s *oracle.Step) {
			s.Grant.Person, s.From.Person, s.Made.Person, s.Made.Name = "bob", "bob", "bob", "bob@a.test"
			s.Targets, s.Made.Audience, s.Key, s.Grant.Key, s.From.Key, s.Made.Key, s.Said.TokenType = []string{safe}, []string{safe}, "", "", "", "", "Bearer"
		}, "takes bound ones only"},
		"bound where nobody looks": {exchanged, func(s *oracle.Step) { s.Key, s.Made.Key, s.Said.TokenType = "k1", "k1", "DPoP" }, "from anybody"},
		"bearer for a client that wants none": {exchanged, func(s *oracle.Step) {
			s.Client, s.Made.Client, s.From.Client, s.Grant.Client = "careful", "careful", "careful", "careful"
			s.Key, s.From.Key, s.Grant.Key = "k1", "k1", "k1"
		}, "bearer token for a client"},
		"a broad token that lost the key":  {redeemed, func(s *oracle.Step) { s.Key = "k1" }, "lost the key"},
		"broad for what is not in it":      {redeemed, func(s *oracle.Step) { s.Made.Audience = []string{here, imap} }, "not in_broad"},
		"broad where one was asked":        {redeemed, func(s *oracle.Step) { s.Targets = []string{imap} }, "a broad token where"},
		"broad and more than asked":        {redeemed, func(s *oracle.Step) { s.Targets = []string{here} }, "the issuer alone was asked for"},
		"several and not the issuer":       {redeemed, func(s *oracle.Step) { s.Made.Audience = []string{dav, bank} }, "several services"},
		"scope beyond what was allowed":    {redeemed, func(s *oracle.Step) { carries(s, "openid", "all") }, "beyond the sign-in"},
		"a day by code":                    {redeemed, func(s *oracle.Step) { s.Made.Ends = now.Add(24 * time.Hour) }, "longer than"},
		"after the sign-in, by refresh":    {redeemed, func(s *oracle.Step) { s.Grant.Ended = true }, "had ended"},
		"more than the sign-in's end":      {redeemed, func(s *oracle.Step) { s.Grant.Ends = now.Add(time.Minute) }, "after the presented one"},
		"an answer that says more":         {exchanged, func(s *oracle.Step) { s.Said.Scope = []string{"mail", "files"} }, "the answer says scope"},
		"an answer that says another type": {exchanged, func(s *oracle.Step) { s.Said.TokenType = "DPoP" }, "the answer calls it"},
		"an answer that says longer":       {exchanged, func(s *oracle.Step) { s.Said.Lives = time.Hour }, "the answer says that it lives"},
		"a password from a broad token":    {password, func(s *oracle.Step) { s.From.Audience = []string{here, dav} }, "that services have too"},
		"a password for the issuer":        {password, func(s *oracle.Step) { s.Made.Audience = []string{here} }, "a password for the issuer"},
		"a password where none is taken": {password, func(s *oracle.Step) {
			s.Targets, s.Made.Audience = []string{imap}, []string{imap}
			carries(s, "mail")
		}, "takes none"},
		"a password for somebody else":      {password, func(s *oracle.Step) { s.Made.Person = "bob" }, "another person"},
		"a password with more scope":        {password, func(s *oracle.Step) { carries(s, "files", "all") }, "beyond the presented"},
		"a password for another than asked": {password, func(s *oracle.Step) { s.Targets = []string{bank} }, "was asked for"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := c.step()
			c.edit(&s)
			if faults := world().Faults(s); !strings.Contains(strings.Join(faults, "\n"), c.want) {
				t.Errorf("the oracle finds %q, want %q\n%+v", faults, c.want, s)
			}
		})
	}
}
