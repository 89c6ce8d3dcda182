package tokens

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"signpost/oidc"
)

// TestR25MintedKeyNamesEverything: a field that is added to claims or profiles and not to the key
// would hand out what was made for something else.
func TestR25MintedKeyNamesEverything(t *testing.T) {
	t.Parallel()
	keys := map[mintedKey]string{exchange{}.key(""): "nothing", exchange{}.key("A"): "signer"}
	note := func(what string, x exchange) {
		key := x.key("")
		if other, found := keys[key]; found {
			t.Errorf("%s and %s have one key", what, other)
		}
		keys[key] = what
	}
	note("tenant", exchange{tenant: "A"})
	note("algorithm", exchange{algorithm: "A"})
	note("subject", exchange{subject: "A"})
	for what, in := range map[string]func(*exchange) reflect.Value{
		"profile": func(x *exchange) reflect.Value { return reflect.ValueOf(&x.profile).Elem() },
		"claims":  func(x *exchange) reflect.Value { return reflect.ValueOf(&x.claims).Elem() },
	} {
		var x exchange
		for i := range in(&x).NumField() {
			name := in(&x).Type().Field(i).Name
			if what == "claims" && slices.Contains([]string{"ExpiresAt", "IssuedAt", "ID"}, name) {
				continue
			}
			var edited exchange
			switch v := in(&edited).Field(i).Addr().Interface().(type) {
			case *string:
				*v = "A"
			case *bool:
				*v = true
			case *time.Duration:
				*v = time.Second
			case *[]string:
				*v = []string{"A"}
			default:
				t.Fatalf("%s.%s is a %T: say here how it is set", what, name, v)
			}
			note(what+"."+name, edited)
		}
	}
	note("two audiences", exchange{claims: oidc.Claims{Audience: []string{"A", "A"}}})
}
