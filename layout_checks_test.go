package signpost_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
)

// A check that cannot fail proves nothing: each one has trees that it accepts
// and trees that it refuses, with the words it refuses them in.
var trees = map[string]struct {
	check string
	tree  string
	want  []string // a part of each problem, in order; empty if the tree is good
}{
	"an import along the arrows": {check: "imports", tree: `
-- webfinger/jrd.go --
package webfinger
-- directory/answers.go --
package directory
import "signpost/webfinger"
`},
	"an import against the arrows": {check: "imports", tree: `
-- webfinger/jrd.go --
package webfinger
import "signpost/directory"
`, want: []string{"webfinger/jrd.go imports signpost/directory"}},
	"a test against the arrows": {check: "imports", tree: `
-- webfinger/jrd_test.go --
package webfinger_test
import "signpost/server"
`, want: []string{"webfinger/jrd_test.go imports signpost/server"}},
	"a test on real storage": {check: "imports", tree: `
-- oidc/issuer/store_test.go --
package issuer_test
import (
	"signpost/internal/idptest"
	"signpost/internal/store"
)
`},
	"the product on real storage": {check: "imports", tree: `
-- server/routes.go --
package server
import "signpost/internal/store"
`, want: []string{"server/routes.go imports signpost/internal/store"}},
	"a test package in the product": {check: "imports", tree: `
-- internal/service/service.go --
package service
import "signpost/internal/idptest"
`, want: []string{"internal/service/service.go imports signpost/internal/idptest"}},
	"the policy in the server": {check: "imports", tree: `
-- server/token.go --
package server
import "signpost/oidc/policy"
`, want: []string{"server/token.go imports signpost/oidc/policy"}},

	"a dependency at home": {check: "homes", tree: `
-- server/routes.go --
package server
import "github.com/gin-gonic/gin"
-- directory/parse_test.go --
package directory
import "github.com/gin-gonic/gin"
`},
	"a dependency away from home": {check: "homes", tree: `
-- directory/load.go --
package directory
import "database/sql"
-- server/limit.go --
package server
import "golang.org/x/time/rate"
`, want: []string{"directory/load.go imports database/sql", "server/limit.go imports golang.org/x/time/rate, whose home is internal/cache"}},

	"a package nobody decided about": {check: "table", tree: `
-- util/util.go --
package util
`, want: []string{"package util is not in the table"}},

	"one package comment": {check: "package comments", tree: `
-- scopes/set.go --
// Package scopes has words.
package scopes
-- scopes/catalogue.go --
package scopes
-- scopes/set_test.go --
package scopes
`},
	"no package comment and two": {check: "package comments", tree: `
-- oidc/oidc.go --
package oidc
-- scopes/set.go --
// Package scopes has words.
package scopes
-- scopes/catalogue.go --
// Package scopes has a catalogue.
package scopes
`, want: []string{"package oidc has 0 package comments", "package scopes has 2 package comments"}},

	"citations with a section": {check: "citations", tree: `
-- webfinger/jrd.go --
// Package webfinger is RFC 7033.
package webfinger
// A JRD is described in RFC
// 7033, section 4.4; see also RFC 7636, appendix B.
type JRD struct{}
`},
	"citations without a section": {check: "citations", tree: `
-- webfinger/jrd.go --
package webfinger
// A JRD is described in RFC 7033.
type JRD struct {
	Subject string // RFC7565, section 4
	Links []string // RFC 7033 section 4.4.4
}
`, want: []string{"jrd.go:2: \"RFC 7033\" without its section", "\"RFC7565\"", "\"RFC 7033\""}},

	"claims from the policy": {check: "claims", tree: `
-- oidc/policy/decide.go --
package policy
import "signpost/oidc"
var c = oidc.Claims{Issuer: "x"}
-- oidc/keys/verify.go --
package keys
import "signpost/oidc"
var none = oidc.Claims{}
-- server/token_test.go --
package server
import "signpost/oidc"
var c = oidc.Claims{Issuer: "x"}
`},
	"claims from elsewhere": {check: "claims", tree: `
-- oidc/issuer/code.go --
package issuer
import words "signpost/oidc"
var c = &words.Claims{Issuer: "x"}
-- oidc/oidc.go --
package oidc
type Claims struct{ Issuer string }
var all = []Claims{{Issuer: "x"}}
-- server/token.go --
package server
import . "signpost/oidc"
var c = Claims{Issuer: "x"}
`, want: []string{"oidc/issuer/code.go:3 fills in oidc.Claims", "oidc/oidc.go:3", "server/token.go:3"}},
	"claims of another library": {check: "claims", tree: `
-- oidc/keys/sign.go --
package keys
import "github.com/golang-jwt/jwt/v5"
var c = jwt.Claims{"iss": "x"}
`},

	"a sleep in a bubble": {check: "sleeps", tree: `
-- internal/cache/memory_test.go --
package cache
import ("time"; "testing/synctest")
var _ = synctest.Test
func wait() { time.Sleep(1) }
`},
	"a sleep on the wall's clock": {check: "sleeps", tree: `
-- internal/demo/wait.go --
package demo
import "time"
func wait() { time.Sleep(1) }
`, want: []string{"internal/demo/wait.go:3 sleeps"}},

	"rules with their tests": {check: "rules", tree: `
-- docs/rules.md --
## R1 Accounts
**Implemented.**
Tests: ` + "`TestR1A`, `TestR1B`" + `.
## R2 Trust

**Planned.**
Tests: none yet.
-- directory/a_test.go --
package directory
func TestR1B() {}
func TestR1A() {}
func TestRFC7033() {}
`},
	"rules without": {check: "rules", tree: `
-- docs/rules.md --
## R1 Accounts

**Implemented.**
Tests: ` + "`TestR1A`" + `.
## R2 Trust

**Planned.**
Tests: none yet.
-- directory/a_test.go --
package directory
func TestR2A() {}
func TestR3A() {}
`, want: []string{"R3, and docs/rules.md has no such rule", "does not name the tests of its rules", "R1 is said to be implemented", "R2 is said to be planned"}},

	"twin migrations": {check: "migrations", tree: `
-- migrations/postgres/00001_first.sql --
-- migrations/sqlite/00001_first.sql --
-- migrations/migrations.go --
package migrations
`},
	"a migration without its twin": {check: "migrations", tree: `
-- migrations/postgres/00001_first.sql --
-- migrations/sqlite/00001_first.sql --
-- migrations/sqlite/00002_second.sql --
`, want: []string{"migrations/sqlite has 00002_second.sql, migrations/postgres has not"}},

	"links that hold": {check: "links", tree: `
-- README.md --
[a](docs/rules.md) [b](docs/rules.md#r1) [c](#here) [d](https://example.org/none) [e](docs)
-- docs/rules.md --
[up](../README.md) and ` + "`[code](gone.md)`" + `
`},
	"links that do not": {check: "links", tree: `
-- README.md --
[a](docs/gone.md#r1)
-- docs/rules.md --
[up](README.md)
`, want: []string{"README.md links to docs/gone.md", "docs/rules.md links to README.md"}},

	"tests that exist": {check: "named tests", tree: `
-- docs/rules.md --
R18 is proved by TestR18Rotation.
-- oidc/issuer/refresh_test.go --
package issuer
func TestR18Rotation() {}
`},
	"tests that do not": {check: "named tests", tree: `
-- docs/standards.md --
FuzzResource
-- docs/rules.md --
TestR18Rotation
-- oidc/issuer/refresh.go --
package issuer
func TestR18Rotation() {}
`, want: []string{"docs/rules.md names TestR18Rotation", "docs/standards.md names FuzzResource"}},
	"rows with tests": {check: "named tests", tree: `
-- docs/standards.md --
| section | sentence | tests |
| --- | --- | --- |
| 2.1 | It MUST rotate. | ` + "`TestR18Rotation`" + ` |

| text | revision |
| --- | --- |
| PKCE | RFC 7636 |
-- oidc/issuer/refresh_test.go --
package issuer
func TestR18Rotation() {}
`},
	"rows without tests": {check: "named tests", tree: `
-- docs/standards.md --
| section | sentence | tests |
| --- | --- | --- |
| 2.1 | It MUST rotate. | |
| 2.2 | It MUST end. | by reading |
| 2.3 | ` + "`TestR18Rotation`" + ` |
| 2.4 | It MUST be tested. | ` + "`TestR18Rotation`" + ` |
-- oidc/issuer/refresh_test.go --
package issuer
func TestR18Rotation() {}
`, want: []string{"docs/standards.md:3 has no test", "docs/standards.md:4 has no test", "docs/standards.md:5 has no test"}},
}

func TestLayoutChecks(t *testing.T) {
	t.Parallel()
	for name, c := range trees {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := checks[c.check](load(t, files(c.tree)))
			if c.check == "table" { // a small tree lacks nearly everything
				got = slices.DeleteFunc(got, func(p string) bool {
					return strings.Contains(p, "does not exist") || strings.Contains(p, "nothing there imports it")
				})
			}
			if len(got) != len(c.want) {
				t.Fatalf("check %s found %q, want %q", c.check, got, c.want)
			}
			for i := range got {
				if !strings.Contains(got[i], c.want[i]) {
					t.Errorf("check %s: problem %d is %q, want something with %q", c.check, i+1, got[i], c.want[i])
				}
			}
		})
	}
}

// The table itself must be complete: a row for a package that is gone is refused.
func TestLayoutTableRefusesGonePackages(t *testing.T) {
	t.Parallel()
	got := checkTable(load(t, files("-- oidc/oidc.go --\npackage oidc\n")))
	got = slices.DeleteFunc(got, func(p string) bool { return !strings.Contains(p, "does not exist") })
	if want := len(arrows) + len(testPackages) - 1; len(got) != want {
		t.Errorf("with one package left the check names %d that are gone, want %d: %q", len(got), want, got)
	}
}

// A home in which nobody lives any more is refused, test files and other homes aside.
func TestLayoutTableRefusesEmptyHomes(t *testing.T) {
	t.Parallel()
	const sqlHome = "internal/store is a home of database/sql"
	for text, empty := range map[string]bool{
		"-- internal/store/store.go --\npackage store\nimport \"database/sql\"\n":                false,
		"-- internal/store/sqlite/open.go --\npackage sqlite\nimport \"database/sql/driver\"\n":  false,
		"-- internal/store/store_test.go --\npackage store\nimport \"database/sql\"\n":           true,
		"-- internal/cache/memory.go --\npackage cache\nimport \"database/sql\"\n":               true,
		"-- internal/store/store.go --\npackage store\nimport \"github.com/pressly/goose/v3\"\n": true,
	} {
		got := checkTable(load(t, files(text)))
		if slices.ContainsFunc(got, func(p string) bool { return strings.HasPrefix(p, sqlHome) }) != empty {
			t.Errorf("the home of database/sql is empty: want %v\n%s\n%q", empty, text, got)
		}
	}
}

func files(tree string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for _, f := range txtar.Parse([]byte(tree)).Files {
		fsys[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	return fsys
}
