package condition_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/internal/condition"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// facts are those of somebody who signed in five minutes before noon.
func facts() condition.Facts {
	return condition.Facts{
		Now: noon,
		Claims: map[string]any{
			"groups": []any{"staff", "mail-users"}, "level": 3.0, "admin": true, "department": map[string]any{"name": "Sales", "floor": 2.0},
			"acr": "urn:example:gold", "amr": []string{"pwd", "otp"}, "auth_time": noon.Add(-5 * time.Minute),
			"address": "alice@example.com", "domain": "example.com", "login": "alice",
			condition.Absent: []any{"guest"},
		},
		ClientID: "webmail", ClientKind: "fixed",
		ServiceID: "imap", ServiceProtocol: "imap", ServiceAudience: "imap.example.com",
	}
}

func compile(t testing.TB, source string) *condition.Condition {
	t.Helper()
	c, err := condition.Compile(source)
	if err != nil {
		t.Fatalf("Compile(%s): %v", source, err)
	}
	return c
}

func TestHolds(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]bool{
		`true`:                      true,
		`false`:                     false,
		`"staff" in claims.groups`:  true,
		`"admins" in claims.groups`: false,
		`claims.groups.exists(g, g.startsWith("mail-"))`:                        true,
		`claims.groups.all(g, g.startsWith("mail-"))`:                           false,
		`claims["department"]["name"].lowerAscii() == "sales"`:                  true,
		`claims.department.floor == 2 && claims.level >= 3`:                     true,
		`claims.admin == true`:                                                  true,
		`has(claims.admin) && !has(claims.guest)`:                               true,
		`claims.acr == "urn:example:gold" && "otp" in claims.amr`:               true,
		`claims.amr[0] == "pwd" && size(claims.amr) == 2`:                       true,
		`now - claims.auth_time < duration("10m")`:                              true,
		`now - claims.auth_time < duration("4m")`:                               false,
		`claims.domain in ["example.com", "example.org"]`:                       true,
		`claims.address.endsWith("@example.com") && claims.login != "mallo"`:    true,
		`client.kind in ["fixed", "registered"] && client.id == "webmail"`:      true,
		`service.id == "imap" && service.protocol == "imap"`:                    true,
		`service.audience == "imap.example.com"`:                                true,
		`now < timestamp("2027-01-01T00:00:00Z") && now.getHours() == 12`:       true,
		`now.getDayOfWeek() == 3 && now.getFullYear() == 2026`:                  true,
		"claims.groups.exists(g,\n  g in [\"staff\", \"guests\"]) // a comment": true,
		`claims.guest == true || "staff" in claims.groups`:                      true, // what is missing does not matter
	} {
		if got, err := compile(t, source).Holds(facts()); got != want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", source, got, err, want)
		}
	}
}

// What cannot be found out means no, also where the expression asks for the contrary.
func TestMissingClaimMeansNo(t *testing.T) {
	t.Parallel()
	for source, because := range map[string]string{
		`claims.guest == false`:                           "without claim guest",
		`claims.guest != true`:                            "without claim guest",
		`!claims.guest`:                                   "without claim guest",
		`!("banned" in claims.roles)`:                     "without claim roles",
		`claims.roles.all(r, r != "banned")`:              "without claim roles",
		`claims["roles"] == [] && claims.guest == 1`:      "without claim guest, roles",
		`!has(claims.roles.inner)`:                        "", // the claim that it lies in is missing
		`claims.guest == true || "none" in claims.amr`:    "without claim guest",
		`claims.admin == true ? claims.x == 1 : true`:     "without claim x",
		`claims.department.city != "Berlin"`:              "not of the type that the expression needs, or not in it",
		`claims.amr[7] != "pwd"`:                          "not in it",
		`claims.acr < 3`:                                  "not of the type",
		`claims.level.startsWith("3")`:                    "not of the type",
		`int(claims.address) == 1`:                        "not of the type",
		`claims["level"] == "3"`:                          "not of the type",
		`now - claims.acr < duration("10m")`:              "not of the type",
		`timestamp(claims.login) < now`:                   "not of the type",
		`!(claims.groups.exists(g, g == claims.level.x))`: "",
	} {
		c, err := condition.Compile(source)
		if err != nil {
			t.Errorf("Compile(%s): %v", source, err)
			continue
		}
		got, err := c.Holds(facts())
		if got || !errors.Is(err, condition.ErrUndecided) || !strings.Contains(fmt.Sprint(err), because) {
			t.Errorf("%s: got %v, %v, want no and ErrUndecided with %q", source, got, err, because)
		}
		if err != nil && strings.Contains(err.Error(), "alice") {
			t.Errorf("%s: the reason repeats a claim: %v", source, err)
		}
	}
	empty := compile(t, `claims.groups == []`)
	if got, err := empty.Holds(condition.Facts{}); got || err == nil {
		t.Errorf("without any facts: got %v, %v, want no", got, err)
	}
}

// Where there is no condition, asking costs nothing.
//
//nolint:paralleltest // allocations of tests that run at the same time would be counted
func TestNilConditionHolds(t *testing.T) {
	c := compile(t, "")
	if c != nil {
		t.Fatalf("an empty expression compiles to %v, want nil", c)
	}
	f := facts()
	if n := testing.AllocsPerRun(100, func() {
		if holds, err := c.Holds(f); !holds || err != nil {
			t.Errorf("nil: got %v, %v, want it to hold", holds, err)
		}
	}); n != 0 {
		t.Errorf("nil: %v allocations, want none", n)
	}
	if c.String() != "" || c.Needs() != nil {
		t.Errorf("nil reads %q and needs %q", c, c.Needs())
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	long := func(claim string) string { return strings.TrimSuffix(strings.Repeat(claim+",", 200), ",") }
	for source, because := range map[string]string{
		" ":                                  "line 1, column 2: Syntax error",
		`"staff" in`:                         "line 1, column 11: Syntax error: mismatched input '<EOF>'",
		"claims.groups.exists(g,\n x)":       "line 2, column 2: undeclared reference to 'x'; known names are claims, now, client.id,",
		`groups == []`:                       "line 1, column 1: undeclared reference to 'groups'",
		`client == "a"`:                      "undeclared reference to 'client'",
		`client.name == "a"`:                 "client.id, client.kind, service.id",
		`claims.groups`:                      "it must be true or false, and is of type dyn; compare it",
		`claims.acr.size()`:                  "is of type int",
		`"a"`:                                "is of type string",
		`null`:                               "is of type null",
		`now - now < duration("10x")`:        "column 22: invalid duration",
		`now < timestamp("today")`:           "invalid timestamp",
		`now == "noon"`:                      "no matching overload",
		`claims.acr.matches("a*")`:           "undeclared reference to 'matches'", // regular expressions
		`claims.acr.lower() == "a"`:          "known functions are has, exists,",
		`"a" + claims.acr == "ab"`:           "undeclared reference to '_+_'", // what makes larger things
		`claims.amr.map(a, a) == []`:         "undeclared reference to 'map'",
		`claims.amr.filter(a, a) == []`:      "undeclared reference to 'filter'",
		`now.getHours("Europe/Berlin") == 1`: "no matching overload", // reads files
		`now.getHours(claims.acr) == 1`:      "no matching overload",
		`type(now) == timestamp`:             "undeclared reference",
		`claims.?acr == 1`:                   "unsupported syntax",
		`claims[claims.acr] == 1`:            "use claims by their names",
		`claims.acr in claims`:               "use claims by their names",
		`claims.all(name, name != "guest")`:  "use claims by their names",
		`size(claims) < 9 && claims.a == 1`:  "use claims by their names",
		`claims != {} || .claims == {}`:      "use claims by their names",
		`[claims].exists(c, has(c.guest))`:   "use claims by their names",
		strings.Repeat("!", 4095) + "true":   "longer than 4096 bytes",
		strings.Repeat("(", 60) + "true" + strings.Repeat(")", 60):                                              "recursion",
		`claims.amr.exists(a, claims.amr.exists(b, a == b))`:                                                    "too much work",
		`claims.amr.all(a, claims.amr.all(b, claims.amr.all(c, a == c)))`:                                       "nesting limit",
		`[[` + long("claims.amr") + `]].exists(x, [[` + long("x") + `]].exists(y, y == y))`:                     "too much work",
		`[[` + long("claims.amr") + `]].exists(x, [[` + long("x") + `]].exists(y, y == []))`:                    "too much work",
		strings.TrimSuffix(strings.Repeat(`claims.amr.exists(a, a == "x") || `, 110), " || "):                   "too much work",
		`[` + strings.TrimSuffix(strings.Repeat("1,", 1900), ",") + `].exists(x, claims.amr.exists(a, a == x))`: "too much work",
	} {
		c, err := condition.Compile(source)
		if !errors.Is(err, condition.ErrExpression) || c != nil || !strings.Contains(err.Error(), because) {
			t.Errorf("Compile(%.100s) = %v, %v; want ErrExpression with %q", source, c, err, because)
		}
	}
}

// Claims may be larger than they usually are: the work is bounded all the same.
func TestHoldsIsBounded(t *testing.T) {
	t.Parallel()
	f := facts()
	groups := func(n int) []any {
		var list []any
		for i := range n {
			list = append(list, fmt.Sprint("g", i))
		}
		return list
	}
	c := compile(t, `claims.groups.exists(g, g == "none") || claims.groups.exists(g, g == "last")`)
	f.Claims["groups"] = append(groups(1000), "last") // about as much as is kept of a person
	if got, err := c.Holds(f); !got || err != nil {
		t.Errorf("a thousand groups: got %v, %v, want it to hold", got, err)
	}
	f.Claims["groups"] = append(groups(100_000), "last")
	if got, err := c.Holds(f); got || !errors.Is(err, condition.ErrUndecided) || !strings.Contains(err.Error(), "too much work") {
		t.Errorf("a hundred thousand groups: got %v, %v, want no, because it is too much work", got, err)
	}
}

func TestNeeds(t *testing.T) {
	t.Parallel()
	for source, want := range map[string][]string{
		`client.id == "a"`: nil,
		`has(claims.a)`:    {"a"},
		`"a" in claims`:    {"a"},
		`.claims.a == 1`:   {"a"},
		`has(claims.a) && claims.a == 1 && claims["c"] in claims.b.list`: {"a", "b", "c"},
		`claims.a.exists(x, x == claims.b || has(claims.c.d))`:           {"a", "b", "c"},
		`claims.a == claims.a`: {"a"},
	} {
		c := compile(t, source)
		if got := c.Needs(); !slices.Equal(got, want) {
			t.Errorf("%s needs %q, want %q", source, got, want)
		}
		if c.String() != source {
			t.Errorf("%s reads %s", source, c)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	c := compile(t, `claims.groups.exists(g, g == client.id)`)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				f := facts()
				f.ClientID = []string{"staff", "other"}[i%2]
				if got, err := c.Holds(f); got != (i%2 == 0) || err != nil {
					t.Errorf("client %s: got %v, %v", f.ClientID, got, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// FuzzCompile: whatever is written, what compiles is decided, or is a no with a reason, and the
// second time is like the first.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		"", "true", `"staff" in claims.groups`, `claims.groups.exists(g, g.startsWith("a"))`, `now - claims.auth_time < duration("10m")`,
		`claims.acr == "x" || !has(claims.y)`, `claims["a"][0] == {"b": [1, 2.0, b"x", null]}`, `[1, 2].all(x, x > 0)`, `size(claims) > -1`, `1/0 == 1`,
		`google.protobuf.Duration{seconds: 1} == duration("1s")`, `claims.groups == [claims.groups]`, `-claims.level < 0 ? true : 1u < 2u`, "\xff", `"\U0010ffff" < "a"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		c, err := condition.Compile(source)
		if err != nil {
			if !errors.Is(err, condition.ErrExpression) || c != nil {
				t.Errorf("Compile(%q) = %v, %v; want ErrExpression", source, c, err)
			}
			return
		}
		if (c == nil) != (source == "") || c.String() != source {
			t.Errorf("Compile(%q) = %v", source, c)
		}
		started := time.Now()
		first, err := c.Holds(facts())
		if err != nil && (first || !errors.Is(err, condition.ErrUndecided)) {
			t.Errorf("%q: got %v, %v, want no and ErrUndecided", source, first, err)
		}
		if took := time.Since(started); took > time.Second {
			t.Errorf("%q took %v", source, took)
		}
		if again, err2 := c.Holds(facts()); again != first || (err2 == nil) != (err == nil) {
			t.Errorf("%q: got %v, %v, and %v, %v the second time", source, first, err, again, err2)
		}
	})
}

func BenchmarkHolds(b *testing.B) {
	c := compile(b, `"mail-users" in claims.groups && now - claims.auth_time < duration("10m")`)
	f := facts()
	b.ReportAllocs()
	for b.Loop() {
		if holds, err := c.Holds(f); !holds || err != nil {
			b.Fatalf("got %v, %v", holds, err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := condition.Compile(`"mail-users" in claims.groups && now - claims.auth_time < duration("10m")`); err != nil {
			b.Fatal(err)
		}
	}
}
