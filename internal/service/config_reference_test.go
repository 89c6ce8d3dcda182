package service

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew")

const referenceHead = `# Configuration

<!-- Written from the comments of Config in internal/service/config.go by "make generate". Change it there. -->

Without any configuration ` + "`signpost serve`" + ` listens on 127.0.0.1:8480 and keeps an SQLite database in its data
folder. Everything else is set in one of three places:

1. a flag of ` + "`signpost serve`" + `,
2. a variable of the environment,
3. a YAML file, named by ` + "`--config FILE` or `SIGNPOST_CONFIG`" + `.

A flag wins over a variable, a variable over the file, the file over the default. An empty variable sets nothing.
A setting that does not exist is an error, in the file as in the environment. All errors are reported at once, each with what to do
about it, and nothing is started.

Secrets have no flag, because every user of a machine can read the command lines of the others. Each has a second setting
that ends in ` + "`_file`" + ` and names a file to read it from.

Tenants, domains, identity providers and services are not configuration: they are declared with ` + "`signpost apply`" + ` and can
change while the server runs.

`

// The reference is the comments of Config: who changes a setting changes its
// description in the same place, and this test refuses to forget the document.
func TestConfigurationReference(t *testing.T) {
	t.Parallel()
	name := filepath.Join("..", "..", "docs", "configuration.md")
	want := reference(t)
	if *update {
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the comments of Config say; run: make generate", name)
	}
}

func TestEverySettingIsDescribed(t *testing.T) {
	t.Parallel()
	comments := fieldComments(t)
	for field := range reflect.TypeFor[Config]().Fields() {
		if !field.IsExported() {
			continue
		}
		comment := comments[field.Name]
		if !strings.HasPrefix(comment, field.Name+" ") {
			t.Errorf("comment of %s is %q, want it to begin with the name", field.Name, comment)
		}
		if !strings.Contains(comment, "\n\nDefault: ") {
			t.Errorf("comment of %s has no paragraph that begins with Default:", field.Name)
		}
	}
}

// reference renders every setting: its names, then its comment.
func reference(t *testing.T) []byte {
	t.Helper()
	comments := fieldComments(t)
	out := bytes.NewBufferString(referenceHead)
	for i, s := range Settings() {
		field := reflect.TypeFor[Config]().Field(i)
		flagCell := "none"
		if s.Flag != "" {
			flagCell = "`--" + s.Flag + "`"
		}
		comment := strings.Replace(comments[field.Name], field.Name, "`"+s.Key+"`", 1)
		fmt.Fprintf(out, "## %s\n\nFlag %s, variable `%s`, in the file `%s`.\n\n%s\n", s.Key, flagCell, s.Env, s.Key, comment)
		if i < len(Settings())-1 {
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

// fieldComments returns the doc comment of each field of Config.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != "Config" {
			return true
		}
		for _, field := range spec.Type.(*ast.StructType).Fields.List {
			comments[field.Names[0].Name] = strings.TrimSpace(field.Doc.Text())
		}
		return false
	})
	return comments
}
