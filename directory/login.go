package directory

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"signpost/webfinger"
)

// Holder is the person from whom login-name templates are filled.
type Holder struct {
	Subject string // stable subject of the account
	Address string // primary address; may be empty
	Login   string // login name at the identity provider; may be empty
}

// placeholders are what a template may hold between braces.
var placeholders = []string{"address", "login", "local", "domain", "subject"}

// value returns what a placeholder stands for.
func (h Holder) value(placeholder string) string {
	local, domain := "", ""
	if at := strings.LastIndexByte(h.Address, '@'); at >= 0 {
		local, domain = h.Address[:at], h.Address[at+1:]
	}
	switch placeholder {
	case "address":
		return h.Address
	case "login":
		return h.Login
	case "local":
		return local
	case "domain":
		return domain
	case "subject":
		return h.Subject
	}
	return ""
}

// LoginName fills the service's template for a person. It reports false, and
// the service is then not for this person, if something that the template needs
// is missing or if the name lies in a domain that is not the tenant's (R1).
func (t Tenant) LoginName(s Service, h Holder) (name string, ok bool) {
	name, ok = fill(s.Username, h, func(value string) (string, bool) { return value, true })
	if !ok || name == "" || strings.ContainsFunc(name, unicode.IsControl) {
		return "", false
	}
	if at := strings.LastIndexByte(name, '@'); at >= 0 && !t.serves(name[at+1:]) {
		return "", false
	}
	return name, true
}

// serves reports whether a domain is one of the tenant's.
func (t Tenant) serves(domain string) bool {
	plain, err := webfinger.ParseDomain(domain)
	return err == nil && slices.ContainsFunc(t.Domains, func(d Domain) bool { return d.Name == plain })
}

// fillURL fills the template of a URL; what is filled in stays one path segment.
func fillURL(template string, h Holder) (string, bool) {
	return fill(template, h, func(value string) (string, bool) {
		return url.PathEscape(value), value != "." && value != ".."
	})
}

// fill replaces every placeholder of a template by its value as written by
// write. It reports false if one is empty, unknown, or refused by write.
func fill(template string, h Holder, write func(string) (string, bool)) (string, bool) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(template, "{")
		b.WriteString(before)
		if !found {
			return b.String(), true
		}
		name, after, closed := strings.Cut(rest, "}")
		value := h.value(name)
		if !closed || value == "" {
			return "", false
		}
		written, ok := write(value)
		if !ok {
			return "", false
		}
		b.WriteString(written)
		template = after
	}
}

// checkTemplate returns a sentence for the person who wrote a template with
// braces that no placeholder explains.
func checkTemplate(template string) error {
	for rest := template; ; {
		before, after, found := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return fmt.Errorf("a } without {")
		}
		if !found {
			return nil
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed || !slices.Contains(placeholders, name) {
			return fmt.Errorf("a template knows {%s}", strings.Join(placeholders, "}, {"))
		}
		rest = tail
	}
}
