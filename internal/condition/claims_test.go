package condition_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"signpost/internal/condition"
)

// Whether a claim is there is answered only where it is known: the contrary of what nobody knows
// lets nobody pass.
func TestR34UnknownClaimMeansNo(t *testing.T) {
	t.Parallel()
	const notGuests = `!has(claims.groups) || !("guests" in claims.groups)`
	for what, c := range map[string]struct {
		source    string
		claims    map[string]any
		want      bool
		undecided bool
	}{
		"there, and as it should be":      {notGuests, map[string]any{"groups": []any{"staff"}}, true, false},
		"there, and as it should not be":  {notGuests, map[string]any{"groups": []any{"guests"}}, false, false},
		"known not to be there":           {notGuests, map[string]any{condition.Absent: []any{"groups"}}, true, false},
		"another one is known":            {notGuests, map[string]any{condition.Absent: []any{"roles"}}, false, true},
		"nothing is known":                {notGuests, nil, false, true},
		"what is known is damaged":        {notGuests, map[string]any{condition.Absent: "groups"}, false, true},
		"has":                             {`!has(claims.suspended)`, nil, false, true},
		"has, known":                      {`!has(claims.suspended)`, map[string]any{condition.Absent: []any{"suspended"}}, true, false},
		"in":                              {`!("suspended" in claims)`, nil, false, true},
		"in, known":                       {`!("suspended" in claims)`, map[string]any{condition.Absent: []any{"suspended"}}, true, false},
		"in a name that is listed":        {`!("suspended" in claims)`, map[string]any{"suspended": true}, false, false},
		"one of two is not known":         {`!has(claims.a) && !has(claims.b)`, map[string]any{condition.Absent: []any{"a"}}, false, true},
		"what this server says of people": {`!has(claims.acr) && !("login" in claims)`, nil, true, false},
		"others do not suffer":            {`"x" in claims.groups`, map[string]any{"groups": []any{"x"}}, true, false},
		"within a claim that is there":    {`!has(claims.a.b)`, map[string]any{"a": map[string]any{}}, true, false},
		"within one that is not known":    {`!has(claims.a.b)`, map[string]any{condition.Absent: []any{"a"}}, false, true},
	} {
		got, err := compile(t, c.source).Holds(condition.Facts{Claims: c.claims})
		if got != c.want || errors.Is(err, condition.ErrUndecided) != c.undecided || (err != nil) != c.undecided {
			t.Errorf("%s: %s of %v: got %v, %v, want %v, undecided %v", what, c.source, c.claims, got, err, c.want, c.undecided)
		}
	}
}

// Two values of unlike kinds are neither equal nor unequal, and one is not known to be missing
// from a list of the other.
func TestR34UnlikeKindsMeanNo(t *testing.T) {
	t.Parallel()
	type answer int
	const (
		no answer = iota
		yes
		undecided
	)
	list := func(members ...any) []any { return members }
	for _, c := range []struct {
		source string
		claim  any // claims.x
		want   answer
	}{
		{`claims.x != "external"`, list("external"), undecided},
		{`claims.x == "external"`, list("external"), undecided},
		{`!(claims.x == "external")`, list("external"), undecided},
		{`claims.x != "external"`, "staff", yes},
		{`claims.x != "external"`, "external", no},
		{`claims.x != ["external"]`, "external", undecided},
		{`claims.x != true`, "true", undecided},
		{`!(claims.x == true)`, "true", undecided},
		{`claims.x != true`, int64(1), undecided},
		{`claims.x != true`, false, yes},
		{`claims.x != 0`, "0", undecided},
		{`claims.x != 0`, false, undecided},
		{`claims.x != 0`, int64(1), yes},
		{`claims.x == 1`, 1.0, yes},
		{`claims.x == 1.5`, 1.5, yes},
		{`claims.x != 1u`, int64(1), no},
		{`claims.x != null`, "x", undecided},
		{`claims.x != {}`, list(), undecided},
		{`claims.x != []`, map[string]any{}, undecided},
		{`claims.x == []`, list(), yes},
		{`claims.x != ["a", "b"]`, list("a", "c"), yes},
		{`claims.x != ["a", "b"]`, list("a"), yes},
		{`claims.x != ["a", "b"]`, list("a", "b"), no},
		{`claims.x != ["a", "b"]`, []string{"a", "b"}, no},
		{`claims.x != ["a", "b"]`, list("c", int64(1)), undecided},
		{`claims.x != [["a"]]`, list("a"), undecided},
		{`claims.x != {"a": 1}`, map[string]any{"a": "1"}, undecided},
		{`claims.x != {"a": 1}`, map[string]any{"b": int64(1)}, yes},
		{`claims.x != {"a": 1}`, map[string]any{"a": int64(2)}, yes},
		{`claims.x == {"a": [1]}`, map[string]any{"a": list(int64(1))}, yes},
		{`claims.x == {"a": 1}`, map[string]any{}, no},
		{`!("external" in claims.x)`, "external", undecided},
		{`!("external" in claims.x)`, list(list("external")), undecided},
		{`!("external" in claims.x)`, list("staff", list("external")), undecided},
		{`!("external" in claims.x)`, list("staff", map[string]any{"external": true}), undecided},
		{`!("external" in claims.x)`, list("staff"), yes},
		{`!("external" in claims.x)`, list(), yes},
		{`!("external" in claims.x)`, list(int64(1), "external"), no},
		{`!("external" in claims.x)`, map[string]any{"external": true}, no},
		{`!("external" in claims.x)`, map[string]any{"staff": true}, yes},
		{`!("1" in claims.x)`, list(int64(1)), undecided},
		{`!(1 in claims.x)`, list("1"), undecided},
		{`!(1 in claims.x)`, list(2.5), yes},
		{`!(1 in claims.x)`, map[string]any{"1": true}, undecided},
		{`claims.x in ["a", "b"]`, "b", yes},
		{`!(claims.x in ["a", "b"])`, "c", yes},
		{`!(claims.x in ["a", "b"])`, list("a"), undecided},
		{`!(claims.x in ["1", "2"])`, int64(1), undecided},
		{`!(claims.x in [1, 2])`, 3.0, yes},
		{`!(claims.x in [1, 2])`, 2.0, no},
		{`claims.x.all(g, g != "external")`, list(list("external")), undecided},
		{`!claims.x.exists(g, g == "external")`, list(list("external")), undecided},
		{`!claims.x.exists(g, g in ["external"])`, list("staff"), yes},
	} {
		holds, err := compile(t, c.source).Holds(condition.Facts{Claims: map[string]any{"x": c.claim}})
		got := no
		if holds {
			got = yes
		}
		if err != nil {
			got = undecided
		}
		if got != c.want || (err != nil) != errors.Is(err, condition.ErrUndecided) || holds != (c.want == yes) {
			t.Errorf("%s of %#v: got %v, %v, want %v (0 is no, 1 yes, 2 undecided)", c.source, c.claim, holds, err, c.want)
		}
	}
}

func TestExact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]any{ // nil: not to be had
		`0`: int64(0), `-0`: int64(0), `0.000`: int64(0), `0e5`: int64(0), `3`: int64(3), `-3`: int64(-3), `3.0`: int64(3), `1e3`: int64(1000), `1.5E1`: int64(15), `120e-1`: int64(12),
		`9007199254740993`: int64(9007199254740993), `9223372036854775807`: int64(9223372036854775807), `-9223372036854775808`: int64(-9223372036854775808),
		`9223372036854775808`: nil, `18446744073709551615`: nil, `123456789012345678901234567890`: nil, `9007199254740993.5`: nil,
		`0.1`: 0.1, `-2.50`: -2.5, `0.30000000000000004`: 0.30000000000000004, `0.3000000000000000444`: nil, `1e300`: 1e300, `-1.5e300`: -1.5e300, `1e20`: 1e20,
		`1e400`: nil, `1e-400`: nil, `1e999999999`: nil, `0.` + strings.Repeat("0", 400) + `1`: nil, `1e99999999999999999999`: nil,
		`"3"`: "3", `true`: true, `null`: nil, `[1,["a",2.5]]`: []any{int64(1), []any{"a", 2.5}}, `[]`: []any{}, `{"a":{"b":1}}`: map[string]any{"a": map[string]any{"b": int64(1)}},
		`[1,9223372036854775808]`: nil, `{"a":{"b":1e400}}`: nil,
	} {
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		var value any
		if err := decoder.Decode(&value); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got, ok := condition.Exact(value)
		if !reflect.DeepEqual(got, want) || ok != (want != nil || text == "null") {
			t.Errorf("Exact(%.60s) = %#v, %v, want %#v", text, got, ok, want)
		}
	}
	person := condition.Facts{Claims: map[string]any{"id": int64(9007199254740992)}}
	for _, source := range []string{`claims.id == 9007199254740993`, `claims.id in [9007199254740993]`} {
		if holds, err := compile(t, source).Holds(person); holds || err != nil {
			t.Errorf("%s of its neighbour: got %v, %v, want no", source, holds, err)
		}
	}
}
