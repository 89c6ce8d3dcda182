package policy

import "signpost/oidc"

// Rules that refuse, in the order in which they are first asked.
const (
	RuleTenant          = "tenant"           // grant and subject belong to this tenant and issuer
	RuleGrant           = "grant"            // the grant lives
	RuleBroad           = "broad"            // only a broad token is exchanged
	RuleClient          = "client"           // the grant's and the subject's client asks
	RulePerson          = "person"           // grant and subject are about this account
	RuleExpired         = "expired"          // the subject token has not expired
	RuleBinding         = "binding"          // the key is proved to which something is bound, or must be
	RuleClientCondition = "client-condition" // what the tenant demands of sign-ins with this client
	RuleAppPassword     = "app-password"     // what app passwords are made of and for (R21)
	RuleFresh           = "fresh-sign-in"    // the person signed in a moment ago (R21)
	RuleTarget          = "target"           // exactly one target that the account has; of a password at least one
	RuleResource        = "resource"         // a target among those granted
	RuleCondition       = "condition"        // what the tenant demands of those who have the service
	RuleScope           = "scope"            // scope within what was presented
	RuleLogin           = "login"            // a login name that lies in a verified domain
	RuleUnbound         = "unbound"          // no bearer token for a client that wants bound ones only
)

// Rules that allow.
const (
	AllowBroad  = "allow-broad"
	AllowNarrow = "allow-narrow"
	// AllowUnbound is AllowNarrow where the request proved a key and the service does
	// not look at it: a bearer token, which is less than what was presented (R11).
	AllowUnbound = "allow-narrow-unbound"
	// AllowAppPassword is a password, which may outlive what was presented and is bound to no
	// key. Nothing else of it is more (R21, R22).
	AllowAppPassword = "allow-app-password"
)

// AllowAlive is the rule by which a token or a password that was presented to a service counts.
const AllowAlive = "allow-alive"

// question is one thing that is asked before something is allowed. Several may belong
// to one rule.
type question int

// Questions, in the order in which they are first asked.
const (
	noQuestion question = iota
	askWay
	askTenant
	askGrant
	askBroad
	askClient
	askPerson
	askExpired
	askProof
	askClientProof
	askClientCondition
	askPasswordUnbound
	askIssuerAlone
	askPasswordScope
	askFresh
	askCeiling
	askGranted
	askOneTarget
	askSomeTarget
	askTarget
	askResource
	askCondition
	askTakesPasswords
	askOpens
	askUseful
	askLogin
	askOneLogin
	askBinding
	askUnbound
)

const (
	// badGrant is said whatever is wrong with what was presented, so that it tells nothing.
	badGrant = "it is not valid here any more; sign in again"
	// noTarget is said of unknown and of forbidden targets alike.
	noTarget = "the target is not a service of this account; see the configuration document for its audiences"
	// unusefulScope is said of words that open no target.
	unusefulScope = "the scope does not open this service; see the scope document"
)

// refusals say which rule a question belongs to and what a no is answered with. An empty
// code is that of something bad that was presented: see judgement.refusal.
//
// A condition of the client is answered like a grant that is not valid any more, which to the
// program it is: the same sign-in gets nothing until the person is another or signs in in
// another way. The text does not say what is known of the person, nor what the tenant
// demands. access_denied is no answer of the token endpoint (RFC 6749, section 5.2).
//
// A condition of a service is answered like an unknown target: who may not have a service
// does not learn that there is one.
var refusals = [...]struct{ rule, code, text string }{
	askWay:             {RuleTenant, "", badGrant},
	askTenant:          {RuleTenant, "", badGrant},
	askGrant:           {RuleGrant, "", badGrant},
	askBroad:           {RuleBroad, "", "the subject token is not broad: only a token for the issuer itself can be exchanged"},
	askClient:          {RuleClient, "", "it was issued to another client"},
	askPerson:          {RulePerson, "", badGrant},
	askExpired:         {RuleExpired, "", "the subject token has expired; refresh it"},
	askProof:           {RuleBinding, oidc.CodeInvalidDPoPProof, "what was presented is bound to a key; send a proof of that key in the header DPoP"},
	askClientProof:     {RuleBinding, oidc.CodeInvalidDPoPProof, "this client registered dpop_bound_access_tokens; send a proof in the header DPoP"},
	askClientCondition: {RuleClientCondition, "", badGrant},
	askPasswordUnbound: {RuleUnbound, oidc.CodeUnauthorizedClient, "this client registered dpop_bound_access_tokens, and a password is bound to no key"},
	askIssuerAlone:     {RuleAppPassword, oidc.CodeInvalidRequest, "a password is made from a token for the issuer alone; ask for one with resource={issuer}"},
	askPasswordScope:   {RuleAppPassword, oidc.CodeInvalidScope, "a password needs the scope " + oidc.ScopeAppPassword + "; sign in again and ask for it"},
	askFresh:           {RuleFresh, "", "the person signed in too long ago for a password; sign in again with prompt=login"},
	askCeiling:         {RuleScope, oidc.CodeInvalidScope, "the scope goes beyond what was granted; sign in again to ask for more"},
	askGranted:         {RuleScope, oidc.CodeInvalidScope, "nothing was granted"},
	askOneTarget:       {RuleTarget, oidc.CodeInvalidTarget, "name exactly one target with audience or resource"},
	askSomeTarget:      {RuleTarget, oidc.CodeInvalidTarget, "name the services of the password with audience or resource"},
	askTarget:          {RuleTarget, oidc.CodeInvalidTarget, noTarget},
	askResource:        {RuleResource, oidc.CodeInvalidTarget, noTarget},
	askCondition:       {RuleCondition, oidc.CodeInvalidTarget, noTarget},
	askTakesPasswords:  {RuleAppPassword, oidc.CodeInvalidTarget, "this service takes no app passwords"},
	askOpens:           {RuleScope, oidc.CodeInvalidScope, unusefulScope},
	askUseful:          {RuleScope, oidc.CodeInvalidScope, unusefulScope},
	askLogin:           {RuleLogin, oidc.CodeInvalidTarget, noTarget},
	askOneLogin:        {RuleLogin, oidc.CodeInvalidTarget, "the login names at these services differ; make a password for each"},
	askBinding:         {RuleBinding, oidc.CodeInvalidDPoPProof, "this service takes only tokens that are bound to a key; send a proof in the header DPoP"},
	askUnbound:         {RuleUnbound, oidc.CodeInvalidTarget, "a token for this service would be bound to no key, which this client or the service refuses"},
}
