package configdoc_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/rogpeppe/go-internal/txtar"

	"signpost/configdoc"
)

var update = flag.Bool("update", false, "write what the encoder says into testdata/*.txtar")

// goldenFiles returns the cases in testdata.
func goldenFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata/*.txtar: %d files, error %v", len(files), err)
	}
	return files
}

// section returns the file of that name inside an archive, or nil.
func section(archive *txtar.Archive, name string) *txtar.File {
	i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return &archive.Files[i]
}

// TestGolden pins the bytes of the document: "document.json" as somebody might
// write it, "configuration.json" as Signpost does, indented for readers.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, file := range goldenFiles(t) {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		document, err := configdoc.Parse(section(archive, "document.json").Data)
		if err != nil {
			t.Errorf("%s: Parse: %v", file, err)
			continue
		}
		got := indented(t, encoded(t, document))
		want := section(archive, "configuration.json")
		if *update {
			if want == nil {
				archive.Files = append(archive.Files, txtar.File{Name: "configuration.json"})
				want = section(archive, "configuration.json")
			}
			want.Data = got
			if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want == nil {
			t.Errorf("%s: no configuration.json; run go test ./configdoc -update", file)
			continue
		}
		if d := diff.Diff("want", want.Data, "got", got); d != nil {
			t.Errorf("%s: JSON() differs; run go test ./configdoc -update if it should:\n%s", file, d)
		}
	}
}

// encoded returns the document's JSON and fails unless it is compact and the same twice.
func encoded(t *testing.T, document configdoc.Document) []byte {
	t.Helper()
	data, err := document.JSON()
	if err != nil {
		t.Fatalf("JSON() of %+v: %v", document, err)
	}
	again, err := document.JSON()
	if err != nil || !bytes.Equal(again, data) {
		t.Fatalf("JSON() twice: got %s (error %v), want %s", again, err, data)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil || !bytes.Equal(compact.Bytes(), data) {
		t.Fatalf("JSON() = %s, want it without white space (error %v)", data, err)
	}
	return data
}

func indented(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	b.WriteByte('\n')
	return b.Bytes()
}
