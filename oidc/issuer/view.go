package issuer

import (
	"slices"
	"strings"

	"signpost/configdoc"
	"signpost/directory"
	"signpost/oidc/policy"
	"signpost/scopes"
)

// View is what a person's configuration is written from, and nothing besides: of equal views the
// documents are equal. Views can be compared with ==.
type View struct {
	realm     *directory.Realm
	holder    directory.Holder
	addresses string // a line for each
	name      string
	scope     string
	without   string // a line for the id of each service whose condition does not hold
}

// View returns the view of who presents a token: the services that it opens, and whose conditions
// hold for the person, the sign-in and the program.
func (b Bearer) View(r *directory.Realm) View {
	v := View{
		realm: r, holder: b.Standing.Holder, addresses: strings.Join(b.Standing.Addresses, "\n"), name: b.Account.Name, scope: b.Scope.String(),
	}
	without := policy.Without(&b.Request)
	if len(without) == 0 {
		return v
	}
	var lines strings.Builder
	for _, s := range r.Services {
		if without[s.Audience] {
			lines.WriteString(s.ID + "\n")
		}
	}
	v.without = lines.String()
	return v
}

// Size returns how many bytes the texts of a view have.
func (v View) Size() int {
	return len(v.holder.Subject) + len(v.holder.Address) + len(v.holder.Login) + len(v.addresses) + len(v.name) + len(v.scope) + len(v.without)
}

// Document writes the configuration.
func (v View) Document() configdoc.Document {
	account := configdoc.Account{Subject: v.holder.Subject, DisplayName: v.name}
	if v.addresses != "" {
		account.Addresses = strings.Split(v.addresses, "\n")
	}
	granted := scopes.Of(strings.Fields(v.scope)...)
	without := strings.Split(v.without, "\n")
	return v.realm.Document(account, v.holder, granted, func(s directory.Service) bool { return !slices.Contains(without, s.ID) })
}
