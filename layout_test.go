// Package signpost_test checks what no compiler checks about this repository:
// who may import whom, where a heavy dependency lives, how comments cite the
// standards, and that the documentation names what exists. It reads the files
// themselves instead of asking "go list", so that the test cache notices every change.
package signpost_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// words are the packages that name things and do no I/O.
var words = []string{"oidc", "scopes", "webfinger", "configdoc", "internal/audit", "internal/condition", "internal/seal"}

// arrows says which packages of ours a package may import. Arrows point down
// only: a row may name the rows below it. docs/architecture.md tells the reasons.
var arrows = map[string][]string{
	// start and wiring
	"cmd/signpost": {"client", "directory", "internal/demo", "internal/demo/stage", "internal/service"},
	"internal/service": concat(words, []string{"directory", "internal/cache", "internal/metrics", "internal/store", "server", "web"},
		[]string{"oidc/apppassword", "oidc/clients", "oidc/dpop", "oidc/exchange", "oidc/issuer", "oidc/keys", "oidc/policy", "oidc/tokens", "oidc/upstream"}),
	"internal/demo/stage": {"directory", "internal/demo", "internal/service"}, // the one place where demo and service meet

	// faces
	"server": concat(words, []string{"directory", "web"},
		[]string{"oidc/apppassword", "oidc/clients", "oidc/dpop", "oidc/exchange", "oidc/issuer", "oidc/keys", "oidc/tokens", "oidc/upstream"}),
	"web":    {"directory", "scopes"},
	"client": {"configdoc", "oidc", "scopes", "webfinger"},

	// the demo stands outside: it knows the service as a client does, and its
	// servers know no more than issuer, keys and audience
	"internal/demo": {"client", "configdoc", "oidc", "scopes", "webfinger",
		"internal/demo/browse", "internal/demo/connect", "internal/demo/groupware", "internal/demo/idp", "internal/demo/recorder"},
	"internal/demo/browse":    {},
	"internal/demo/connect":   {},
	"internal/demo/groupware": {"internal/demo/connect"}, // in tests: a server is asked by its client
	"internal/demo/idp":       {},
	"internal/demo/recorder":  {},

	// storage
	"internal/store": {"directory", "internal/audit", "internal/condition", "migrations", "oidc", "oidc/apppassword", "oidc/issuer", "oidc/keys", "scopes"},
	"internal/cache": {},
	"migrations":     {},

	// what is measured
	"internal/metrics": {"internal/audit", "oidc/issuer"},

	// steps
	"oidc/exchange":    concat(words, []string{"directory", "oidc/apppassword", "oidc/clients", "oidc/dpop", "oidc/issuer", "oidc/keys", "oidc/policy", "oidc/tokens"}),
	"oidc/issuer":      concat(words, []string{"directory", "oidc/apppassword", "oidc/clients", "oidc/dpop", "oidc/keys", "oidc/policy", "oidc/tokens"}),
	"oidc/apppassword": {"oidc"},
	"oidc/tokens":      {"oidc", "oidc/keys"},
	"oidc/clients":     {"directory", "oidc", "scopes"},
	"oidc/dpop":        {"oidc"},
	"oidc/policy":      {"internal/condition", "oidc", "scopes"},
	"oidc/keys":        {"oidc"},
	"oidc/upstream":    {"internal/condition", "oidc"},

	// facts
	"directory": {"configdoc", "internal/condition", "oidc", "scopes", "webfinger"},

	// words
	"configdoc":          {"scopes"},
	"internal/audit":     {},
	"internal/condition": {},
	"internal/seal":      {},
	"oidc":               {},
	"scopes":             {},
	"webfinger":          {},
}

// testPackages may import everything and are imported by tests alone.
var testPackages = []string{
	"internal/cache/cachetest",
	"internal/demo/demotest",
	"oidc/keys/keystest",
	"internal/idptest",
	"internal/servertest",
	"internal/store/storetest",
	"test/backends",
	"test/bench",
	"test/browser",
	"test/clients",
	"test/deploy",
	"test/faults",
	"test/mutants",
	"test/narrow",
	"test/narrow/oracle",
	"test/withbackends",
}

// forTests is what every test may import besides the arrows of its package:
// real storage instead of imitations of it.
var forTests = concat(testPackages, []string{"internal/cache", "internal/seal", "internal/store"})

// homes says in which packages a heavy dependency, or a dangerous one, may be
// imported. Paths on both sides stand for everything below them. Tests may use
// them anywhere.
var homes = map[string][]string{
	"cel.dev":                        {"internal/condition"},
	"code.dny.dev/ssrf":              {"oidc/clients"},
	"database/sql":                   {"internal/store"},
	"github.com/coreos/go-oidc":      {"client", "oidc/upstream"},
	"github.com/emersion":            {"internal/demo"},
	"github.com/gin-gonic":           {"server"},
	"github.com/go-jose":             {"internal/demo", "oidc/clients", "oidc/dpop", "oidc/keys"},
	"github.com/goccy/go-yaml":       {"directory", "internal/service"}, // the declared facts; the server's own configuration file
	"github.com/golang-jwt":          {"internal/demo", "oidc/keys"},
	"github.com/jackc/pgx":           {"internal/store"},
	"github.com/jellydator/ttlcache": {"internal/cache"},
	"github.com/knadh/koanf":         {"internal/service"},
	"github.com/pressly/goose":       {"internal/store"},
	"github.com/prometheus":          {"internal/metrics"},
	"github.com/redis/go-redis":      {"internal/cache"},
	"github.com/spf13":               {"cmd/signpost"},
	"github.com/tink-crypto":         {"internal/seal"},
	"github.com/zitadel/oidc":        {"internal/demo"},
	"golang.org/x/oauth2":            {"client", "oidc/upstream"},
	"golang.org/x/time":              {"internal/cache"},
	"html/template":                  {"internal/demo", "web"},
	"modernc.org/sqlite":             {"internal/store"},
	"rsc.io/qr":                      {"web"},
}

// A check looks at the whole tree and says what is wrong with it, one line each.
type check func(*tree) []string

var checks = map[string]check{
	"imports":          checkImports,
	"homes":            checkHomes,
	"table":            checkTable,
	"package comments": checkPackageComments,
	"citations":        checkCitations,
	"claims":           checkClaims,
	"migrations":       checkMigrations,
	"links":            checkLinks,
	"named tests":      checkNamedTests,
	"rules":            checkRules,
	"sleeps":           checkSleeps,
}

func TestLayout(t *testing.T) {
	t.Parallel()
	if *update {
		rewriteRules(t)
	}
	repository := load(t, os.DirFS("."))
	for name, check := range checks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, problem := range check(repository) {
				t.Error(problem)
			}
		})
	}
}

// checkImports follows the arrows. A test of a package has the package's arrows
// and forTests.
func checkImports(t *tree) (problems []string) {
	for _, s := range t.sources {
		if s.pkg == "." || slices.Contains(testPackages, s.pkg) {
			continue
		}
		allowed := arrows[s.pkg]
		if s.test {
			allowed = concat(allowed, forTests)
		}
		for _, imported := range s.imports() {
			ours, ok := strings.CutPrefix(imported, "signpost/")
			if ok && ours != s.pkg && !slices.Contains(allowed, ours) {
				problems = append(problems, fmt.Sprintf("%s imports signpost/%s, which is not among the arrows of %s", s.path, ours, s.pkg))
			}
		}
	}
	return problems
}

// checkHomes keeps each heavy dependency where it belongs.
func checkHomes(t *tree) (problems []string) {
	for _, s := range t.sources {
		if s.test || slices.Contains(testPackages, s.pkg) {
			continue
		}
		for _, imported := range s.imports() {
			for dependency, at := range homes {
				if below(imported, dependency) && !slices.ContainsFunc(at, func(home string) bool { return below(s.pkg, home) }) {
					problems = append(problems, fmt.Sprintf("%s imports %s, whose home is %s", s.path, imported, strings.Join(at, ", ")))
				}
			}
		}
	}
	return problems
}

// checkTable compares the tables with the packages that exist and what they import.
func checkTable(t *tree) (problems []string) {
	known := concat(slices.Collect(maps.Keys(arrows)), testPackages)
	found := []string{"."}
	for _, s := range t.sources {
		if !slices.Contains(found, s.pkg) {
			found = append(found, s.pkg)
			if !slices.Contains(known, s.pkg) {
				problems = append(problems, fmt.Sprintf("package %s is not in the table of layout_test.go: decide what it may import", s.pkg))
			}
		}
	}
	for _, pkg := range slices.Sorted(slices.Values(known)) {
		if !slices.Contains(found, pkg) {
			problems = append(problems, fmt.Sprintf("package %s is in the table of layout_test.go and does not exist", pkg))
		}
	}
	return concat(problems, t.emptyHomes())
}

// emptyHomes names the homes in which nothing imports the dependency.
func (t *tree) emptyHomes() (problems []string) {
	for _, dependency := range slices.Sorted(maps.Keys(homes)) {
		for _, home := range homes[dependency] {
			if !slices.ContainsFunc(t.sources, func(s source) bool { return !s.test && below(s.pkg, home) && s.needs(dependency) }) {
				problems = append(problems, fmt.Sprintf("%s is a home of %s in layout_test.go, and nothing there imports it", home, dependency))
			}
		}
	}
	return problems
}

// needs reports whether the file imports a dependency or something below it.
func (s source) needs(dependency string) bool {
	return slices.ContainsFunc(s.imports(), func(imported string) bool { return below(imported, dependency) })
}

// checkPackageComments wants one comment for each package that is more than tests.
func checkPackageComments(t *tree) (problems []string) {
	comments := map[string]int{}
	for _, s := range t.sources {
		if s.test {
			continue
		}
		n := comments[s.pkg]
		if s.file.Doc != nil {
			n++
		}
		comments[s.pkg] = n
	}
	for _, pkg := range slices.Sorted(maps.Keys(comments)) {
		if n := comments[pkg]; n != 1 {
			problems = append(problems, fmt.Sprintf("package %s has %d package comments, want 1", pkg, n))
		}
	}
	return problems
}

// checkClaims keeps oidc/policy the only place that fills in the claims of a
// token. The empty literal fills in nothing and is how functions return none.
func checkClaims(t *tree) (problems []string) {
	for _, s := range t.sources {
		if s.test || s.pkg == "oidc/policy" || slices.Contains(testPackages, s.pkg) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			literal, ok := n.(*ast.CompositeLit)
			if ok && len(literal.Elts) > 0 && s.mentionsClaims(literal.Type) {
				problems = append(problems, fmt.Sprintf("%s fills in oidc.Claims; only oidc/policy may", t.at(literal)))
			}
			return true
		})
	}
	return problems
}

// mentionsClaims reports whether a type is made of oidc.Claims, by whatever name
// the file imports oidc.
func (s source) mentionsClaims(typ ast.Expr) (found bool) {
	if typ == nil {
		return false
	}
	ast.Inspect(typ, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			found = found || ok && n.Sel.Name == "Claims" && x.Name == s.nameOf("signpost/oidc")
			return false
		case *ast.Ident:
			found = found || n.Name == "Claims" && (s.pkg == "oidc" || s.nameOf("signpost/oidc") == ".")
		}
		return true
	})
	return found
}

// checkSleeps refuses to wait by the clock on the wall: it makes tests slow and
// wrong by turns. In a bubble of testing/synctest a sleep is how the clock moves.
func checkSleeps(t *tree) (problems []string) {
	for _, s := range t.sources {
		if slices.Contains(s.imports(), "testing/synctest") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok || selector.Sel.Name != "Sleep" {
				return true
			}
			if x, ok := selector.X.(*ast.Ident); ok && x.Name == s.nameOf("time") {
				problems = append(problems, fmt.Sprintf("%s sleeps; wait for what is awaited, or inject the clock", t.at(selector)))
			}
			return true
		})
	}
	return problems
}

// tree is a repository as the checks see it.
type tree struct {
	fsys    fs.FS
	files   []string          // every file, also those that are not Go
	docs    map[string]string // the text of every Markdown file
	sources []source
	fset    *token.FileSet
}

// source is one Go file.
type source struct {
	path string
	pkg  string // folder, "." for the root
	test bool
	file *ast.File
}

// load reads a repository. Like the go command it passes over testdata and over
// folders that begin with a dot or an underscore.
func load(tb testing.TB, fsys fs.FS) *tree {
	tb.Helper()
	t := &tree{fsys: fsys, docs: map[string]string{}, fset: token.NewFileSet()}
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && (strings.ContainsAny(entry.Name()[:1], "._") || entry.Name() == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		t.files = append(t.files, name)
		switch path.Ext(name) {
		case ".go", ".md":
			return t.add(name)
		}
		return nil
	})
	if err != nil {
		tb.Fatalf("read the repository: %v", err)
	}
	return t
}

func (t *tree) add(name string) error {
	text, err := fs.ReadFile(t.fsys, name)
	if err != nil {
		return err
	}
	if path.Ext(name) == ".md" {
		t.docs[name] = string(text)
		return nil
	}
	file, err := parser.ParseFile(t.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	t.sources = append(t.sources, source{
		path: name,
		pkg:  path.Dir(name),
		test: strings.HasSuffix(name, "_test.go"),
		file: file,
	})
	return nil
}

// at returns file and line of a node.
func (t *tree) at(n ast.Node) string {
	p := t.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

func (s source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// nameOf returns the name under which the file knows an imported package, or ""
// if it does not import it.
func (s source) nameOf(importPath string) string {
	for _, spec := range s.file.Imports {
		if spec.Path.Value != strconv.Quote(importPath) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// below reports whether an import path is parent or lies below it.
func below(importPath, parent string) bool {
	return importPath == parent || strings.HasPrefix(importPath, parent+"/")
}

func concat(lists ...[]string) []string { return slices.Concat(lists...) }
