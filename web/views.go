package web

// Kinds of askers.
const (
	// AskerOpen is a program that did not identify itself. Whatever name it may
	// have sent is not shown.
	AskerOpen = "open"
	// AskerNamed is a client whose name the operator or Signpost itself wrote down.
	AskerNamed = "named"
	// AskerRegistered is a program that registered itself under a name of its choice.
	AskerRegistered = "registered"
	// AskerProved is a client that has shown that it speaks for a host (R15).
	AskerProved = "proved"
	// AskerUnproved is a client that only says so.
	AskerUnproved = "unproved"
	// AskerGone is a client that got access and is switched off or gone.
	AskerGone = "gone"
)

// Asker is who wants to be let in. One of another Kind, or without a name, is shown
// as a program that did not identify itself.
type Asker struct {
	Kind string
	// Name is the operator's or the built-in one for AskerNamed, the program's own
	// for AskerRegistered, where it stands in quotation marks, and the host for
	// AskerProved and AskerUnproved. It is not shown for AskerOpen.
	Name string
	// Redirect is what receives the answer: a host ("127.0.0.1", "[::1]",
	// "cloud.example.com"), with or without a port, or a private-use scheme with
	// its colon ("oc:").
	Redirect string
	// Device means that a device asks, which fetches its answer: there is no Redirect.
	Device bool
}

// Organisation is who answers: a tenant, as people know it.
type Organisation struct {
	Title   string
	Help    string   // URL (https, http or mailto) where its people get help; may be empty
	Domains []string // in A-label form
	Host    string   // host of the issuer
}

// Choice is an identity provider and the link that leads to it.
type Choice struct {
	Title string
	Host  string // where the person will type the password, in A-label form
	URL   string // https, http or a path; anything else is not made a link
}

// Permission is one thing that the asker will be able to do, in the page's language.
type Permission struct {
	Title string // a few words
	Text  string // what the person allows, one sentence
}

// SignIn is the page before the identity provider: who asks, who answers, and
// what it will open, so that nobody types one provider's password into
// another's page. It has no password field.
type SignIn struct {
	Account      bool  // nobody asks: the person signs in to their own page
	Failed       bool  // with Account: an attempt was broken off
	Asker        Asker // not with Account
	Organisation Organisation
	Choices      []Choice
	Permissions  []Permission
	Cancel       string // https, http or a path; anything else is not made a link
}

// Consent is the page after the identity provider. Its form posts "ticket" and
// "decision" to Action.
type Consent struct {
	Asker        Asker
	Organisation Organisation
	Provider     string // title of the identity provider
	Person       string // display name; may be empty
	Address      string // primary address; may be empty
	Permissions  []Permission
	Offline      bool   // access lasts until somebody ends it
	Action       string // https, http or a path; anything else posts to the page's own address
	Ticket       string // opaque; binds the form to this sign-in and this browser
}

// DecisionAllow is the value of the consent form's field "decision" that means
// yes. Anything else means no.
const DecisionAllow = "allow"

// Logout is the page that asks whether to end the browser's session, and afterwards says
// that it has ended. It says what goes on. Its form posts "decision" to Action.
type Logout struct {
	Organisation Organisation
	Account      string // the person's own page: https, http or a path; anything else is not made a link
	Action       string // https, http or a path; anything else posts to the page's own address
	Done         bool   // it has ended; there is no form
}

// DecisionEnd is the value of the logout form's field "decision".
const DecisionEnd = "end"

// Problem is the page for a request that cannot go on: what happened, and what
// the person does next.
type Problem struct {
	Title     string // key of the list below; an unknown one is shown as ProblemInternal
	RequestID string
	Help      string // the organisation's help URL; may be empty
	Back      string // where the browser goes on if the person wants it: https; anything else is not made a link
	BackHost  string // its host, in A-label form
}

// Keys of problems.
const (
	ProblemExpired             = "expired"              // the sign-in took too long or was started again
	ProblemWrongBrowser        = "wrong_browser"        // it was started in another browser
	ProblemBadClient           = "bad_client"           // the client is not known or switched off
	ProblemBadRedirect         = "bad_redirect"         // the redirect URI is not the client's (RFC 6749, section 4.1.2.1)
	ProblemBadRequest          = "bad_request"          // the request is malformed
	ProblemNotServed           = "not_served"           // this host or address is not served here
	ProblemAddressTaken        = "address_taken"        // the address is another account's (R1)
	ProblemNoAddress           = "no_address"           // the identity provider proved no address of the organisation
	ProblemProviderUnavailable = "provider_unavailable" // the identity provider does not answer
	ProblemProviderRefused     = "provider_refused"     // the identity provider said no, or its answer fails a check
	ProblemNoProvider          = "no_provider"          // the organisation has no identity provider
	ProblemTooMany             = "too_many"             // a rate limit
	ProblemNotFound            = "not_found"            // no such page
	ProblemMethodNotAllowed    = "method_not_allowed"   // not with this method
	ProblemInternal            = "internal"             // our fault
	ProblemUnavailable         = "unavailable"          // the store or the cache does not answer
)

// Home is the page at an issuer's root, for people who land there by accident
// and, while nothing is declared, for the operator.
type Home struct {
	Organisation Organisation
	Account      string // the person's own page: https, http or a path; anything else is not made a link
	Declared     bool   // false: the installation has no tenant yet
	Issuer       string // without a trailing slash; the public documents are below it
	Address      string // an address as its people would type it: "alice@example.com"
}
