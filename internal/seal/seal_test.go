package seal

import (
	"bytes"
	"errors"
	"testing"
)

func testKey(b byte) []byte { return bytes.Repeat([]byte{b}, KeySize) }

func newBox(t testing.TB, keys ...[]byte) *Box {
	t.Helper()
	b, err := New(keys...)
	if err != nil {
		t.Fatalf("New of %d keys: %v", len(keys), err)
	}
	return b
}

func TestNew(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][][]byte{
		"no key":           nil,
		"empty key":        {{}},
		"short key":        {testKey(1)[:31]},
		"long key":         {append(testKey(1), 1)},
		"second one short": {testKey(1), testKey(2)[:16]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if b, err := New(keys...); err == nil {
				t.Errorf("New: got %v, want an error", b)
			}
		})
	}
}

func TestNewCopiesTheKeys(t *testing.T) {
	t.Parallel()
	key := testKey(1)
	b := newBox(t, key)
	sealed, err := b.Seal("p", []byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	clear(key)
	if _, err := b.Open("p", sealed, nil); err != nil {
		t.Errorf("Open after the caller cleared its key: %v", err)
	}
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	b := newBox(t, testKey(1))
	for name, plaintext := range map[string][]byte{
		"nothing": nil, "a word": []byte("plain"), "64 KiB": bytes.Repeat([]byte("x"), 64<<10),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sealed, err := b.Seal("p", plaintext, []byte("row 1"))
			if err != nil {
				t.Fatalf("Seal: %v", err)
			}
			if got, want := len(sealed), len(plaintext)+41; got != want {
				t.Errorf("length of what was sealed: got %d, want %d", got, want)
			}
			got, err := b.Open("p", sealed, []byte("row 1"))
			if err != nil || !bytes.Equal(got, plaintext) {
				t.Errorf("Open: got %d bytes, %v, want the %d bytes sealed", len(got), err, len(plaintext))
			}
			again, err := b.Seal("p", plaintext, []byte("row 1"))
			if err != nil || bytes.Equal(again, sealed) {
				t.Errorf("sealed twice: same bytes or %v, want other bytes each time", err)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	b := newBox(t, testKey(1))
	sealed, err := b.Seal("codes", []byte("plain"), []byte("row 1"))
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"another purpose":          func() ([]byte, error) { return b.Open("tokens", sealed, []byte("row 1")) },
		"other associated data":    func() ([]byte, error) { return b.Open("codes", sealed, []byte("row 2")) },
		"no associated data":       func() ([]byte, error) { return b.Open("codes", sealed, nil) },
		"another key":              func() ([]byte, error) { return newBox(t, testKey(2)).Open("codes", sealed, []byte("row 1")) },
		"the other way of sealing": func() ([]byte, error) { return b.OpenWith("codes", []byte("secret"), sealed) },
		"nothing":                  func() ([]byte, error) { return b.Open("codes", nil, []byte("row 1")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := open(); !errors.Is(err, ErrOpen) || got != nil {
				t.Errorf("got %q, %v, want nothing and ErrOpen", got, err)
			}
		})
	}
}

func TestOpenRefusesEveryFlippedBit(t *testing.T) {
	t.Parallel()
	b := newBox(t, testKey(1))
	sealed, err := b.Seal("p", []byte("plain"), []byte("row 1"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(sealed) * 8 {
		changed := bytes.Clone(sealed)
		changed[i/8] ^= 1 << (i % 8)
		if got, err := b.Open("p", changed, []byte("row 1")); !errors.Is(err, ErrOpen) {
			t.Errorf("bit %d flipped: got %q, %v, want ErrOpen", i, got, err)
		}
	}
}

func TestOpenRefusesEveryTruncation(t *testing.T) {
	t.Parallel()
	b := newBox(t, testKey(1))
	sealed, err := b.Seal("p", []byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range sealed {
		if got, err := b.Open("p", sealed[:n], nil); !errors.Is(err, ErrOpen) {
			t.Errorf("first %d of %d bytes: got %q, %v, want ErrOpen", n, len(sealed), got, err)
		}
	}
	if got, err := b.Open("p", append(bytes.Clone(sealed), 0), nil); !errors.Is(err, ErrOpen) {
		t.Errorf("one byte more: got %q, %v, want ErrOpen", got, err)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	before := newBox(t, testKey(1))
	between := newBox(t, testKey(2), testKey(1))
	after := newBox(t, testKey(2))

	old, err := before.Seal("p", []byte("old"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := between.Open("p", old, nil); err != nil || string(got) != "old" {
		t.Errorf("old key behind the new one: got %q, %v, want it opened", got, err)
	}
	if _, err := after.Open("p", old, nil); !errors.Is(err, ErrOpen) {
		t.Errorf("old key gone: got %v, want ErrOpen", err)
	}
	fresh, err := between.Seal("p", []byte("new"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := after.Open("p", fresh, nil); err != nil || string(got) != "new" {
		t.Errorf("the first key seals: got %q, %v, want it opened by that key alone", got, err)
	}
	if _, err := before.Open("p", fresh, nil); !errors.Is(err, ErrOpen) {
		t.Errorf("the first key seals: got %v from the old key, want ErrOpen", err)
	}
}

func TestR18SealWithNeedsServerKeyAndSecret(t *testing.T) {
	t.Parallel()
	b := newBox(t, testKey(1))
	sealed, err := b.SealWith("successor", []byte("presented token"), []byte("successor token"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.OpenWith("successor", []byte("presented token"), sealed); err != nil || string(got) != "successor token" {
		t.Errorf("OpenWith: got %q, %v, want what was sealed", got, err)
	}
	rotated := newBox(t, testKey(2), testKey(1))
	if got, err := rotated.OpenWith("successor", []byte("presented token"), sealed); err != nil || string(got) != "successor token" {
		t.Errorf("OpenWith after rotation: got %q, %v, want what was sealed", got, err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"another secret":  func() ([]byte, error) { return b.OpenWith("successor", []byte("presented tokem"), sealed) },
		"another purpose": func() ([]byte, error) { return b.OpenWith("code", []byte("presented token"), sealed) },
		"another server key": func() ([]byte, error) {
			return newBox(t, testKey(2)).OpenWith("successor", []byte("presented token"), sealed)
		},
		"server key alone": func() ([]byte, error) { return b.Open("successor", sealed, nil) },
		"cut short":        func() ([]byte, error) { return b.OpenWith("successor", []byte("presented token"), sealed[:20]) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := open(); !errors.Is(err, ErrOpen) || got != nil {
				t.Errorf("got %q, %v, want nothing and ErrOpen", got, err)
			}
		})
	}
}

func TestSealWithRefusesAnEmptySecret(t *testing.T) {
	t.Parallel()
	b := newBox(t, testKey(1))
	if sealed, err := b.SealWith("p", nil, []byte("plain")); err == nil {
		t.Errorf("SealWith: got %d bytes, want an error", len(sealed))
	}
	if got, err := b.OpenWith("p", nil, []byte{version}); err == nil {
		t.Errorf("OpenWith: got %q, want an error", got)
	}
}

func TestR25SealForNeedsSecretAndPlace(t *testing.T) {
	t.Parallel()
	b := newBox(t, testKey(1))
	secret, place := []byte("code 1"), []byte("name of the entry")
	sealed, err := b.SealFor("cache", secret, []byte("plain"), place)
	if err != nil {
		t.Fatal(err)
	}
	rotated := newBox(t, testKey(2), testKey(1))
	for name, box := range map[string]*Box{"the same keys": b, "a new key in front": rotated} {
		if got, err := box.OpenFor("cache", secret, sealed, place); err != nil || string(got) != "plain" {
			t.Errorf("OpenFor with %s: got %q, %v, want what was sealed", name, got, err)
		}
	}
	for name, open := range map[string]func() ([]byte, error){
		"another secret":   func() ([]byte, error) { return b.OpenFor("cache", []byte("code 2"), sealed, place) },
		"another place":    func() ([]byte, error) { return b.OpenFor("cache", secret, sealed, []byte("other")) },
		"no place":         func() ([]byte, error) { return b.OpenFor("cache", secret, sealed, nil) },
		"another purpose":  func() ([]byte, error) { return b.OpenFor("message", secret, sealed, place) },
		"another key":      func() ([]byte, error) { return newBox(t, testKey(2)).OpenFor("cache", secret, sealed, place) },
		"server key alone": func() ([]byte, error) { return b.Open("cache", sealed, place) },
		"without a place":  func() ([]byte, error) { return b.OpenWith("cache", secret, sealed) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := open(); !errors.Is(err, ErrOpen) || got != nil {
				t.Errorf("got %q, %v, want nothing and ErrOpen", got, err)
			}
		})
	}
}

func TestSealForRefusesAnEmptySecret(t *testing.T) {
	t.Parallel()
	b := newBox(t, testKey(1))
	if sealed, err := b.SealFor("p", nil, []byte("plain"), nil); err == nil {
		t.Errorf("SealFor: got %d bytes, want an error", len(sealed))
	}
	if got, err := b.OpenFor("p", nil, []byte{version}, nil); err == nil || errors.Is(err, ErrOpen) {
		t.Errorf("OpenFor: got %q, %v, want an error that names the fault", got, err)
	}
}

func TestR25Name(t *testing.T) {
	t.Parallel()
	name := func(b *Box, purpose, data string) string {
		t.Helper()
		got, err := b.Name(purpose, []byte(data))
		if err != nil || len(got) != 32 {
			t.Fatalf("Name(%q, %q): got %d bytes, %v, want 32", purpose, data, len(got), err)
		}
		return string(got)
	}
	b := newBox(t, testKey(1))
	want := name(b, "value", "alice")
	if got := name(newBox(t, testKey(1), testKey(2)), "value", "alice"); got != want {
		t.Error("a further key behind the first changed the name")
	}
	for what, got := range map[string]string{
		"other data":    name(b, "value", "alicf"),
		"no data":       name(b, "value", ""),
		"other purpose": name(b, "counter", "alice"),
		"moved border":  name(b, "valuea", "lice"),
		"other key":     name(newBox(t, testKey(2), testKey(1)), "value", "alice"),
	} {
		if got == want {
			t.Errorf("%s: got the same name", what)
		}
	}
}

// TestNamesAreThoseOfEveryKey: what was named before a new key was put in front is recognised.
func TestNamesAreThoseOfEveryKey(t *testing.T) {
	t.Parallel()
	names, err := newBox(t, testKey(1), testKey(2)).Names("value", []byte("alice"))
	if err != nil || len(names) != 2 {
		t.Fatalf("Names: got %d, %v, want two", len(names), err)
	}
	for i, key := range []byte{1, 2} {
		want, err := newBox(t, testKey(key)).Name("value", []byte("alice"))
		if err != nil || !bytes.Equal(names[i], want) {
			t.Errorf("name %d: got %x, want that of key %d: %x, %v", i, names[i], key, want, err)
		}
	}
}
