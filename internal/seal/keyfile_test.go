package seal

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func encoded(key []byte) string { return base64.StdEncoding.EncodeToString(key) }

func TestParseKeys(t *testing.T) {
	t.Parallel()
	one, two := encoded(testKey(1)), encoded(testKey(0xfe))
	for name, text := range map[string]string{
		"one key":             one,
		"one line":            one + "\n",
		"two lines":           one + "\n" + two + "\n",
		"lines of Windows":    one + "\r\n" + two + "\r\n",
		"blank lines":         "\n" + one + "\n\n" + two + "\n\n",
		"spaces, as from env": one + " " + two,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := ParseKeys(text)
			if err != nil {
				t.Fatalf("ParseKeys(%q): %v", text, err)
			}
			if want := strings.Count(text, "="); len(keys) != want {
				t.Fatalf("ParseKeys(%q): got %d keys, want %d", text, len(keys), want)
			}
			if !bytes.Equal(keys[0], testKey(1)) {
				t.Errorf("ParseKeys(%q): first key is %x", text, keys[0])
			}
		})
	}
}

func TestParseKeysRefusesWithoutRepeatingTheKey(t *testing.T) {
	t.Parallel()
	good := encoded(testKey(1))
	for name, c := range map[string]struct{ text, want string }{
		"nothing":             {"", "no key"},
		"white space":         {" \n\t", "no key"},
		"no padding":          {strings.TrimRight(good, "="), "key 1 is not base64"},
		"URL alphabet":        {strings.ReplaceAll(encoded(testKey(0xff)), "/", "_"), "key 1 is not base64"},
		"bits after the end":  {good[:42] + "F=", "key 1 is not base64"},
		"hexadecimal":         {strings.Repeat("ab", 32), "key 1 has 48 bytes, want 32"},
		"16 bytes":            {encoded(testKey(1)[:16]), "key 1 has 16 bytes, want 32"},
		"second one is wrong": {good + "\nsecret-word\n", "key 2 is not base64"},
		"comment":             {"# secret-word\n" + good, "key 1 is not base64"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := ParseKeys(c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("ParseKeys(%q): got %d keys, %v, want an error with %q", c.text, len(keys), err, c.want)
			}
			for _, word := range strings.Fields(c.text) {
				if len(word) > 4 && strings.Contains(err.Error(), word) {
					t.Errorf("the error repeats the key: %v", err)
				}
			}
		})
	}
}

func TestLoadOrCreateMakesTheFileOnce(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "key")
	first, err := LoadOrCreate(path)
	if err != nil {
		t.Fatalf("first start: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode: got %v, want -rw-------", info.Mode())
	}
	sealed, err := first.Seal("p", []byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := LoadOrCreate(path)
	if err != nil {
		t.Fatalf("second start: %v", err)
	}
	if got, err := second.Open("p", sealed, nil); err != nil || string(got) != "plain" {
		t.Errorf("second start opens what the first sealed: got %q, %v", got, err)
	}
	wantOnly(t, folder, "key")
}

func TestLoadOrCreateRacersAgree(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "key")
	const racers = 16
	boxes := make([]*Box, racers)
	errs := make([]error, racers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			<-start
			boxes[i], errs[i] = LoadOrCreate(path)
		})
	}
	close(start)
	wg.Wait()
	for i := range racers {
		if errs[i] != nil {
			t.Fatalf("racer %d: %v", i, errs[i])
		}
		if !bytes.Equal(boxes[i].keys[0], boxes[0].keys[0]) {
			t.Errorf("racers 0 and %d have different keys", i)
		}
	}
	wantOnly(t, folder, "key")
}

// TestCreateKeepsTheFileOfAnother is the race at its narrowest: another process
// made the file after this one had looked.
func TestCreateKeepsTheFileOfAnother(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	want := encoded(testKey(7)) + "\n"
	writeFile(t, path, want, 0o600)
	if err := create(path); err != nil {
		t.Fatalf("create: %v", err)
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("the file was replaced (%v)", err)
	}
}

func TestLoadOrCreateSeveralKeys(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	writeFile(t, path, encoded(testKey(2))+"\n"+encoded(testKey(1))+"\n", 0o400)
	sealed, err := newBox(t, testKey(1)).Seal("p", []byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	box, err := LoadOrCreate(path)
	if err != nil {
		t.Fatalf("LoadOrCreate: %v", err)
	}
	if got, err := box.Open("p", sealed, nil); err != nil || string(got) != "plain" {
		t.Errorf("Open with the second key: got %q, %v, want it opened", got, err)
	}
}

func TestLoadOrCreateRefuses(t *testing.T) {
	t.Parallel()
	good := encoded(testKey(1)) + "\n"
	for name, c := range map[string]struct {
		prepare func(t *testing.T, path string)
		want    string
	}{
		"group may read":  {func(t *testing.T, path string) { writeFile(t, path, good, 0o640) }, "run chmod 600"},
		"world may read":  {func(t *testing.T, path string) { writeFile(t, path, good, 0o604) }, "run chmod 600"},
		"group may write": {func(t *testing.T, path string) { writeFile(t, path, good, 0o620) }, "run chmod 600"},
		"empty file":      {func(t *testing.T, path string) { writeFile(t, path, "", 0o600) }, "no key"},
		"broken key":      {func(t *testing.T, path string) { writeFile(t, path, good[:20], 0o600) }, "want 32"},
		"huge file":       {func(t *testing.T, path string) { writeFile(t, path, strings.Repeat(good, 2000), 0o600) }, "larger than"},
		"a folder":        {func(t *testing.T, path string) { makeFolder(t, path) }, "not a regular file"},
		"link to nowhere": {func(t *testing.T, path string) { link(t, path) }, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "key")
			c.prepare(t, path)
			_, err := LoadOrCreate(path)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("LoadOrCreate: got %v, want an error with %q and the path", err, c.want)
			}
		})
	}
}

func TestLoadOrCreateWantsTheFolder(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "missing")
	_, err := LoadOrCreate(filepath.Join(folder, "key"))
	if err == nil || !strings.Contains(err.Error(), "does not exist: make it first") {
		t.Errorf("LoadOrCreate: got %v, want an error that says what to do", err)
	}
	if _, err := os.Stat(folder); err == nil {
		t.Error("the folder was made, want it left to the operator")
	}
}

// wantOnly fails if anything but the named file is left in the folder.
func wantOnly(t *testing.T, folder, name string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != name {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // the process's umask does not touch chmod
		t.Fatal(err)
	}
}

func makeFolder(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, path string) {
	t.Helper()
	if err := os.Symlink(path+"-nowhere", path); err != nil {
		t.Fatal(err)
	}
}
