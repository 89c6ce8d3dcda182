//go:build mutants

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// A product with two guards, of which the tests know one, and its patches.
const product = `
-- go.mod --
module product

go 1.26
-- door/door.go --
package door

// Open reports whether the door opens.
func Open(key, day string) bool {
	if key == "" {
		return false
	}
	if day == "sunday" {
		return false
	}
	return true
}
-- door/open_test.go --
package door

import "testing"

func TestOpen(t *testing.T) {
	t.Run("without a key", func(t *testing.T) {
		if Open("", "monday") {
			t.Error("opened")
		}
	})
}
-- house/house.go --
package house
-- house/house_test.go --
package house

import (
	"product/door"
	"testing"
)

func TestHouse(t *testing.T) {
	if !door.Open("key", "monday") {
		t.Error("closed")
	}
}
-- patches/a-key.patch --
# The door opens without a key.
--- a/door/door.go
+++ b/door/door.go
@@ -4,3 +4,3 @@
 func Open(key, day string) bool {
-	if key == "" {
+	if key == "none" {
 		return false
-- patches/b-sunday.patch --
# The door opens on sundays.
--- a/door/door.go
+++ b/door/door.go
@@ -8,3 +8,3 @@
-	if day == "sunday" {
+	if day == "someday" {
 		return false
 	}
-- patches/c-stale.patch --
# The door opens at night.
--- a/door/door.go
+++ b/door/door.go
@@ -8,3 +8,3 @@
-	if day == "night" {
+	if day == "someday" {
 		return false
 	}
-- patches/d-broken.patch --
# The door opens by a mistake of spelling.
--- a/door/door.go
+++ b/door/door.go
@@ -8,3 +8,3 @@
-	if day == "sunday" {
+	if dya == "sunday" {
 		return false
 	}
-- patches/e-broken-test.patch --
# The door has another name, and only its test minds.
Tests: ./house
--- a/door/door.go
+++ b/door/door.go
@@ -3,3 +3,3 @@
 // Open reports whether the door opens.
-func Open(key, day string) bool {
+func Opens(key, day string) bool {
 	if key == "" {
-- patches/f-elsewhere.patch --
# The door never opens, which only its users notice.
--- a/door/door.go
+++ b/door/door.go
@@ -11,2 +11,2 @@
-	return true
+	return false
 }
`

func TestRunner(t *testing.T) {
	t.Parallel()
	root := write(t, product)
	for name, c := range map[string]struct {
		patch   string
		verdict string // how the line begins
		witness string // how it ends
	}{
		"a guard that is tested":                  {"a-key", killed, "(TestOpen/without_a_key)"},
		"a guard that is not":                     {"b-sunday", survived, "The door opens on sundays."},
		"a patch that does not apply":             {"c-stale", stale, "error: patch failed: door/door.go:8)"},
		"a patch that does not compile":           {"d-broken", broken, "undefined: dya)"},
		"a patch that does not compile in a test": {"e-broken-test", broken, "undefined: door.Open)"},
		"a guard that other packages test":        {"f-elsewhere", killed, "(TestHouse)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			r := runner{Root: root, Patches: filepath.Join(root, "patches"), Only: regexp.MustCompile(c.patch), Out: &out}
			err := r.run(t.Context())
			if (err == nil) != (c.verdict == killed) {
				t.Errorf("%s: error is %v with the verdict %s", c.patch, err, c.verdict)
			}
			lines := strings.Split(out.String(), "\n")
			if len(lines) < 2 || !strings.HasPrefix(lines[0], "unchanged") {
				t.Fatalf("%s: got %q, want a line for the unchanged tree and one for the patch", c.patch, out.String())
			}
			if !strings.HasPrefix(lines[1], c.verdict+" ") || !strings.HasSuffix(lines[1], c.witness) {
				t.Errorf("%s: line is %q, want %q … %q", c.patch, lines[1], c.verdict, c.witness)
			}
		})
	}
}

func TestRunnerTakesEachPatchBack(t *testing.T) {
	t.Parallel()
	root := write(t, product)
	var out bytes.Buffer
	r := runner{Root: root, Patches: filepath.Join(root, "patches"), Only: regexp.MustCompile("a-key|b-sunday|f-"), Out: &out}
	err := r.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "1 of 3 mutants were not killed") {
		t.Errorf("three patches in a row: error %v, want the second alone to live:\n%s", err, out.String())
	}
}

func TestRunnerRefusesToProveNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change string
		only   string
		want   string
	}{
		"no patch":                  {only: "nothing", want: "no patch to try"},
		"a patch without its words": {change: "-- patches/a-key.patch --\n--- a/x\n+++ b/x\n", want: "a-key.patch: the first line must say"},
		"tests that fail by themselves": {
			change: "-- house/house_test.go --\npackage house\n\nimport \"testing\"\n\nfunc TestHouse(t *testing.T) { t.Fatal(\"gone\") }\n",
			want:   "the tests fail without any mutant",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := write(t, product+c.change)
			r := runner{Root: root, Patches: filepath.Join(root, "patches"), Only: regexp.MustCompile(c.only), Out: &bytes.Buffer{}}
			if err := r.run(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestReadPatch(t *testing.T) {
	t.Parallel()
	root := write(t, product)
	p, err := readPatch(filepath.Join(root, "patches", "a-key.patch"))
	if err != nil || p.name != "a-key" || p.guard != "The door opens without a key." || strings.Join(p.tests, " ") != "./door" {
		t.Errorf("a patch without Tests line: got %+v and error %v", p, err)
	}
	p, err = readPatch(filepath.Join(root, "patches", "e-broken-test.patch"))
	if err != nil || strings.Join(p.tests, " ") != "./house" {
		t.Errorf("a patch with Tests line: got %+v and error %v", p, err)
	}
}

// write makes a git work tree of an archive.
func write(t *testing.T, archive string) string {
	t.Helper()
	root := t.TempDir()
	for _, f := range txtar.Parse([]byte(archive)).Files {
		name := filepath.Join(root, f.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "git", "init", "-q")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git init: %v: %s", err, out)
	}
	return root
}
