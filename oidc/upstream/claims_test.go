package upstream

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"signpost/internal/condition"
)

func TestKeptClaims(t *testing.T) {
	t.Parallel()
	const all = `{"sub":"s","groups":["staff","mail"],"level":3,"admin":true,"department":{"name":"Sales","rooms":[1,"b"]},"city":"Köln","gone":null,"id":9007199254740993}`
	for name, c := range map[string]struct {
		keep    string
		idToken string
		want    string // JSON; empty for nothing
	}{
		"nothing declared":           {"", all, ""},
		"declared and there":         {"groups level admin department city id", all, `{"admin":true,"city":"Köln","department":{"name":"Sales","rooms":[1,"b"]},"groups":["staff","mail"],"id":9007199254740993,"level":3}`},
		"declared and not there":     {"groups roles", all, `{"groups":["staff","mail"],"not sent":["roles"]}`},
		"none is there":              {"roles rank", all, `{"not sent":["roles","rank"]}`},
		"null":                       {"gone level", all, `{"level":3}`},
		"null within a list":         {"groups level", `{"groups":["staff",null],"level":3}`, `{"level":3}`},
		"null within a map":          {"m level", `{"m":{"a":{"b":null}},"level":3}`, `{"level":3}`},
		"nothing else":               {"gone", all, ""},
		"NUL":                        {"a b c level", `{"a":"x\u0000","b":["\u0000"],"c":{"\u0000":1},"level":3}`, `{"level":3}`},
		"numbers as they are":        {"a b c d", `{"a":3.0,"b":1e3,"c":0.5,"d":[1e300]}`, `{"a":3,"b":1000,"c":0.5,"d":[1e+300]}`},
		"numbers that lose digits":   {"a b level", `{"a":18446744073709551615,"b":[0.12345678901234567890],"level":3}`, `{"level":3}`},
		"numbers that are too large": {"a level", `{"a":1e999,"level":3}`, `{"level":3}`},
		"empty values are values":    {"a b c", `{"a":"","b":[],"c":{}}`, `{"a":"","b":[],"c":{}}`},
		"as much as is kept":         {"a", `{"a":"` + strings.Repeat("x", maxKeptBytes-len(`{"a":""}`)) + `"}`, `{"a":"` + strings.Repeat("x", maxKeptBytes-len(`{"a":""}`)) + `"}`},
		"too much, and no part":      {"a level roles", `{"level":3,"a":"` + strings.Repeat("x", maxKeptBytes) + `"}`, ""},
		"too much in small pieces":   {"groups level", `{"level":3,"groups":[` + strings.Repeat(`"g",`, maxKeptBytes/4) + `"g"]}`, ""},
		"elsewhere":                  {"groups level roles", `{"_claim_names":{"groups":"src1"},"_claim_sources":{"src1":{"endpoint":"https://graph.example/groups"}},"level":3}`, `{"level":3,"not sent":["roles"]}`},
		"elsewhere and here":         {"groups level", `{"groups":["staff"],"_claim_names":{"groups":"src1"},"level":3}`, `{"level":3}`},
		"something is elsewhere":     {"groups level", `{"_claim_sources":{"src1":{"JWT":"e30"}},"level":3}`, ""},
		"anything is elsewhere":      {"groups level", `{"_claim_names":"groups","level":3}`, ""},
		"others are elsewhere":       {"roles level", `{"_claim_names":{"groups":"src1"},"_claim_sources":{"src1":{}},"level":3}`, `{"level":3,"not sent":["roles"]}`},
		"the list of the absent":     {"groups", `{"not sent":["groups"],"groups":null}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := Provider{KeepClaims: strings.Fields(c.keep)}
			person := p.person(verifiedToken(t, c.idToken), testClaims(t, `{"roles":["admin"],"groups":["admins"],"level":9,"gone":1}`))
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

// A condition that asks for the contrary is not met by somebody whose claims could not be kept.
func TestR34WhatIsNotKeptIsNotAbsent(t *testing.T) {
	t.Parallel()
	notGuests, err := condition.Compile(`!has(claims.groups) || !("guests" in claims.groups)`)
	if err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("x", maxKeptBytes)
	for what, c := range map[string]struct {
		keep, idToken string
		want          bool
	}{
		"no guest":              {"groups", `{"groups":["staff"]}`, true},
		"a guest":               {"groups", `{"groups":["guests"]}`, false},
		"no groups":             {"groups", `{}`, true},
		"a guest, too large":    {"groups", `{"groups":["guests","` + large + `"]}`, false},
		"another is too large":  {"groups nickname", `{"groups":["guests"],"nickname":"` + large + `"}`, false},
		"a null among groups":   {"groups", `{"groups":["guests",null]}`, false},
		"groups are null":       {"groups", `{"groups":null}`, false},
		"groups are elsewhere":  {"groups", `{"_claim_names":{"groups":"src1"},"_claim_sources":{"src1":{"endpoint":"https://graph.example/groups"}}}`, false},
		"groups were not asked": {"", `{"groups":["guests"]}`, false},
		"a list of lists":       {"groups", `{"groups":[["guests"]]}`, false},
	} {
		person := Provider{KeepClaims: strings.Fields(c.keep)}.person(verifiedToken(t, c.idToken), nil)
		if got, err := notGuests.Holds(condition.Facts{Claims: person.Claims}); got != c.want {
			t.Errorf("%s: got %v, %v, want %v", what, got, err, c.want)
		}
	}
}
