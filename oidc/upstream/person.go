package upstream

import (
	"cmp"
	"encoding/json"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"signpost/oidc"
)

const (
	maxName      = 100 // characters of a display name
	maxLocal     = 64  // octets of a local part (RFC 5321, section 4.5.3.1.1)
	maxAddress   = 254 // octets of an address (RFC 5321, section 4.5.3.1.3, less the angle brackets)
	maxAddresses = 20  // of one person
	maxContext   = 255 // octets of "acr", and of one of "amr"
	maxMethods   = 20  // in "amr"
)

// text returns a claim that is a string, or "".
func (c claims) text(name string) string {
	s, _ := c[name].(string)
	return s
}

// texts returns a claim that is a string or an array of strings.
func (c claims) texts(name string) []string {
	if s := c.text(name); s != "" {
		return []string{s}
	}
	var out []string
	list, _ := c[name].([]any)
	for _, v := range list {
		if s, ok := v.(string); ok && len(out) < maxAddresses {
			out = append(out, s)
		}
	}
	return out
}

// person maps claims to what may be believed. The ID token comes first, userinfo
// adds what it does not say.
func (p Provider) person(t verified, info claims) oidc.Person {
	sets := []claims{t.claims, info}
	trusted := p.addresses(sets)
	return oidc.Person{
		Provider:  p.Name,
		Issuer:    p.Issuer,
		Subject:   t.subject,
		Addresses: trusted,
		Login:     p.login(first(sets, cmp.Or(p.LoginClaim, "preferred_username")), trusted),
		Name:      displayName(first(sets, cmp.Or(p.NameClaim, "name"))),
		AuthTime:  authTime(t.claims),
		ACR:       acr(t.claims),
		AMR:       amr(t.claims),
		Claims:    p.kept(t.claims),
	}
}

// first returns a claim from the first set that has it.
func first(sets []claims, name string) string {
	for _, c := range sets {
		if s := c.text(name); s != "" {
			return s
		}
	}
	return ""
}

// addresses returns the addresses that count (R2). The first set decides that
// names addresses and says whether they can be trusted: one set's word is never
// taken for another set's addresses.
func (p Provider) addresses(sets []claims) []string {
	for _, c := range sets {
		named := c.texts(p.addressClaim())
		trusted, said := p.trusts(c)
		if len(named) == 0 || !said {
			continue
		}
		if !trusted {
			return nil
		}
		return p.ownAddresses(named, c)
	}
	return nil
}

func (p Provider) addressClaim() string { return cmp.Or(p.AddressClaim, "email") }

// trusts reports what a set of claims says about its addresses, and whether it
// says anything. Some providers send "true" as a string.
func (p Provider) trusts(c claims) (trusted, said bool) {
	switch p.AddressTrust {
	case TrustDirectory:
		return true, true
	case TrustEmailVerified:
		v, said := c["email_verified"]
		return v == true || v == "true", said
	}
	return false, true
}

// ownAddresses returns the well-formed addresses in the provider's own domains, once each.
func (p Provider) ownAddresses(named []string, c claims) []string {
	var out []string
	for _, a := range named {
		if p.AddressTrust == TrustEmailVerified && a != c.text("email") {
			continue // email_verified does not speak of this one
		}
		if own, ok := p.ownAddress(a); ok && !slices.Contains(out, own) {
			out = append(out, own)
		}
	}
	return out
}

// ownAddress returns the address with its domain in lower case, if that is one for
// which the provider's word counts (R1).
func (p Provider) ownAddress(address string) (string, bool) {
	local, domain, ok := split(address)
	if !ok || !slices.Contains(p.Domains, domain) {
		return "", false
	}
	return local + "@" + domain, true
}

// bareLogin is a login name without a domain: what servers take for the name of a
// mailbox or a folder as it stands.
var bareLogin = regexp.MustCompile(`^[A-Za-z0-9_-]([A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?$`)

// login returns a login name that may count, or "". People choose their
// preferred_username at many a provider, so a bare one counts only where the
// provider is the organisation's own directory, and one with a domain needs the
// same proof as an address (R1, R2).
func (p Provider) login(name string, trusted []string) string {
	if bareLogin.MatchString(name) && p.AddressTrust == TrustDirectory {
		return name
	}
	own, ok := p.ownAddress(name)
	if !ok {
		return ""
	}
	if p.AddressTrust == TrustDirectory {
		return own
	}
	for _, address := range trusted {
		if strings.EqualFold(address, own) {
			return address
		}
	}
	return ""
}

// split takes an address apart: printable ASCII, a dot-atom before the "@"
// (RFC 5322, section 3.2.3), nothing around it. The domain comes in lower case.
func split(address string) (local, domain string, ok bool) {
	notPrintable := func(r rune) bool { return r <= ' ' || r > '~' }
	if len(address) > maxAddress || strings.ContainsFunc(address, notPrintable) {
		return "", "", false
	}
	// What mail.ParseAddress had to change was more than a plain address: quotes, comments, a name.
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address {
		return "", "", false
	}
	local, domain, _ = strings.Cut(address, "@")
	return local, strings.ToLower(domain), len(local) <= maxLocal
}

// displayName makes a name fit for pages and documents: one line, without control
// characters and without those that turn the direction of the text around them.
func displayName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Bidi_Control, r):
			return -1
		case unicode.IsControl(r):
			return ' '
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	runes := []rune(strings.Join(strings.Fields(name), " "))
	return strings.TrimSpace(string(runes[:min(len(runes), maxName)]))
}

// authTime returns when the provider says that the person signed in, or the zero
// time: it is never invented (R17).
func authTime(c claims) time.Time {
	number, _ := c["auth_time"].(json.Number)
	seconds, err := number.Float64()
	if err != nil || seconds <= 0 || seconds > maxTime {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}

// maxTime is the year 9999 in seconds: the last that JSON and databases agree on.
const maxTime = 253402300799

// acr returns the class of the sign-in exactly as the provider's ID token names it, or
// "" if it does not, or not in a form that can be handed on: it is never invented (R17).
func acr(c claims) string {
	if s := c.text("acr"); handsOn(s) {
		return s
	}
	return ""
}

// amr returns the methods of the sign-in exactly as the provider's ID token lists them, or
// nil: a part of the list would say something else than the whole (R17).
func amr(c claims) []string {
	list, _ := c["amr"].([]any)
	if len(list) > maxMethods {
		return nil
	}
	var methods []string
	for _, v := range list {
		s, _ := v.(string)
		if !handsOn(s) {
			return nil
		}
		methods = append(methods, s)
	}
	return methods
}

// handsOn reports whether a value of a provider is short text on one line.
func handsOn(s string) bool {
	return s != "" && len(s) <= maxContext && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
