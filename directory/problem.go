package directory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with what was declared.
type Problem struct {
	File    string // as given to Parse; empty when the declaration is not at hand
	Line    int    // from 1; 0 if unknown
	Column  int    // from 1; 0 if unknown
	Message string // what is wrong and where: never a secret
	Hint    string // what to do; may be empty
	at      ref
}

// String returns "file:line:column: message", and the hint on a line of its own.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString("\n  hint: " + p.Hint)
	}
	return b.String()
}

// Problems is everything that is wrong, in the order of the file. Show all of
// it: whoever wrote the file wants to mend it in one go.
type Problems []Problem

// Error returns one problem after the other.
func (p Problems) Error() string {
	lines := make([]string, 0, len(p))
	for _, problem := range p {
		lines = append(lines, problem.String())
	}
	return strings.Join(lines, "\n")
}

// sort puts problems in the order of their lines; those that are equally far
// stay as they were found.
func (p Problems) sort() {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// Kinds of things that belong to a tenant, as problems and changes name them.
const (
	kindTenant   = "tenant"
	kindDomain   = "domain"
	kindProvider = "identity provider"
	kindService  = "service"
	kindScope    = "scope"

	kindTokenProfile = "token profile"

	kindClientPolicy   = "client policy"
	kindAllow          = "allow"
	kindDeny           = "deny"
	kindClient         = "client"
	kindResourceServer = "resource server"
)

// ref names a place among the declared tenants without its position in a file:
// a field of a thing, or the thing itself if field is empty.
type ref struct {
	tenant int    // index of the tenant
	kind   string // what it is
	index  int    // index among its kind in the tenant
	field  string // its key in the file
}

// whole returns the thing of which the place is a field.
func (r ref) whole() ref {
	r.field = ""
	return r
}

// owner returns the tenant to which the place belongs.
func (r ref) owner() ref { return ref{tenant: r.tenant, kind: kindTenant} }

// spot is a place with the words by which a person finds it.
type spot struct {
	ref
	words string // "tenant example, service mail"
}

func tenantSpot(i int, t Tenant) spot {
	return spot{ref: ref{tenant: i, kind: kindTenant}, words: named(kindTenant, t.Name)}
}

// child returns the place of a thing that belongs to the tenant at s.
func (s spot) child(kind string, index int, name string) spot {
	return spot{
		ref:   ref{tenant: s.tenant, kind: kind, index: index},
		words: s.words + ", " + named(kind, name),
	}
}

func named(kind, name string) string {
	if name == "" {
		return kind + " without a name"
	}
	return kind + " " + name
}

// field returns a field of the thing at s.
func (s spot) field(name string) spot {
	s.ref.field = name
	return s
}
