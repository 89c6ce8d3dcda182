package upstream

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestKeptClaims(t *testing.T) {
	t.Parallel()
	const all = `{"sub":"s","groups":["staff","mail"],"level":3,"admin":true,"department":{"name":"Sales","rooms":[1,"b"]},"city":"Köln","gone":null}`
	for name, c := range map[string]struct {
		keep    string
		idToken string
		want    string // JSON; empty for nothing
	}{
		"nothing declared":         {"", all, ""},
		"declared and there":       {"groups level admin department city", all, `{"admin":true,"city":"Köln","department":{"name":"Sales","rooms":[1,"b"]},"groups":["staff","mail"],"level":3}`},
		"declared and not there":   {"groups roles", all, `{"groups":["staff","mail"]}`},
		"none is there":            {"roles", all, ""},
		"null":                     {"gone level", all, `{"level":3}`},
		"null within a list":       {"groups level", `{"groups":["staff",null],"level":3}`, `{"level":3}`},
		"null within a map":        {"m level", `{"m":{"a":{"b":null}},"level":3}`, `{"level":3}`},
		"NUL":                      {"a b c level", `{"a":"x\u0000","b":["\u0000"],"c":{"\u0000":1},"level":3}`, `{"level":3}`},
		"empty values are values":  {"a b c", `{"a":"","b":[],"c":{}}`, `{"a":"","b":[],"c":{}}`},
		"as much as is kept":       {"a", `{"a":"` + strings.Repeat("x", maxKeptBytes-len(`{"a":""}`)) + `"}`, `{"a":"` + strings.Repeat("x", maxKeptBytes-len(`{"a":""}`)) + `"}`},
		"too much, and no part":    {"a level", `{"level":3,"a":"` + strings.Repeat("x", maxKeptBytes) + `"}`, ""},
		"too much in small pieces": {"groups level", `{"level":3,"groups":[` + strings.Repeat(`"g",`, maxKeptBytes/4) + `"g"]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := Provider{KeepClaims: strings.Fields(c.keep)}
			person := p.person(verifiedToken(t, c.idToken), testClaims(t, `{"roles":["admin"],"groups":["admins"],"level":9}`))
			got := ""
			if person.Claims != nil {
				b, err := json.Marshal(person.Claims)
				if err != nil {
					t.Fatal(err)
				}
				got = string(b)
			}
			if got != c.want {
				t.Errorf("ID token %.200s: kept %.200s, want %.200s", c.idToken, got, c.want)
			}
		})
	}
}

func TestKeptClaimsAreFew(t *testing.T) {
	t.Parallel()
	token := claims{}
	for i := range maxKept + 1 {
		token[fmt.Sprint("c", i)] = true
	}
	names := slices.Collect(maps.Keys(token))
	if got := (Provider{KeepClaims: names}).kept(token); got != nil {
		t.Errorf("%d claims: kept %d, want none", len(names), len(got))
	}
	if got := (Provider{KeepClaims: names[:maxKept]}).kept(token); len(got) != maxKept {
		t.Errorf("%d claims: kept %d, want all", maxKept, len(got))
	}
}
