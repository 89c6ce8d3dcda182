package seal

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func sealSame(t testing.TB, b *Box, purpose string, plaintext, associated []byte) []byte {
	t.Helper()
	sealed, err := b.SealSame(purpose, plaintext, associated)
	if err != nil {
		t.Fatalf("SealSame of %d bytes: %v", len(plaintext), err)
	}
	return sealed
}

func TestR14SealSame(t *testing.T) {
	t.Parallel()
	b := newBox(t, testKey(1))
	for name, plaintext := range map[string][]byte{
		"nothing": nil, "a byte": {7}, "a block": bytes.Repeat([]byte("x"), 16), "64 KiB": bytes.Repeat([]byte("x"), 64<<10),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sealed := sealSame(t, b, "p", plaintext, []byte("tenant"))
			if got, want := len(sealed), len(plaintext)+17; got != want {
				t.Errorf("length of what was sealed: got %d, want %d", got, want)
			}
			if got, err := b.OpenSame("p", sealed, []byte("tenant")); err != nil || !bytes.Equal(got, plaintext) {
				t.Errorf("OpenSame: got %d bytes, %v, want the %d bytes sealed", len(got), err, len(plaintext))
			}
			if again := sealSame(t, newBox(t, testKey(1)), "p", plaintext, []byte("tenant")); !bytes.Equal(again, sealed) {
				t.Error("sealed again by another process: other bytes, want the same")
			}
		})
	}
}

func TestR14OpenSameRefuses(t *testing.T) {
	t.Parallel()
	b := newBox(t, testKey(1))
	place := []byte("tenant")
	sealed := sealSame(t, b, "clients", []byte("plain"), place)
	random, err := b.Seal("clients", []byte("plain"), place)
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"another purpose":                 func() ([]byte, error) { return b.OpenSame("codes", sealed, place) },
		"a moved border":                  func() ([]byte, error) { return b.OpenSame("client", sealed, []byte("stenant")) },
		"other associated data":           func() ([]byte, error) { return b.OpenSame("clients", sealed, []byte("other")) },
		"no associated data":              func() ([]byte, error) { return b.OpenSame("clients", sealed, nil) },
		"another key":                     func() ([]byte, error) { return newBox(t, testKey(2)).OpenSame("clients", sealed, place) },
		"the other way of sealing":        func() ([]byte, error) { return b.Open("clients", sealed, place) },
		"sealed in the other way":         func() ([]byte, error) { return b.OpenSame("clients", random, place) },
		"another version":                 func() ([]byte, error) { return b.OpenSame("clients", append([]byte{2}, sealed[1:]...), place) },
		"the version alone":               func() ([]byte, error) { return b.OpenSame("clients", sealed[:1], place) },
		"nothing":                         func() ([]byte, error) { return b.OpenSame("clients", nil, place) },
		"one byte more":                   func() ([]byte, error) { return b.OpenSame("clients", append(bytes.Clone(sealed), 0), place) },
		"one byte less":                   func() ([]byte, error) { return b.OpenSame("clients", sealed[:len(sealed)-1], place) },
		"shorter than what authenticates": func() ([]byte, error) { return b.OpenSame("clients", sealed[:16], place) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := open(); !errors.Is(err, ErrOpen) || got != nil {
				t.Errorf("got %q, %v, want nothing and ErrOpen", got, err)
			}
		})
	}
}

func TestR14OpenSameRefusesEveryFlippedBit(t *testing.T) {
	t.Parallel()
	b := newBox(t, testKey(1))
	sealed := sealSame(t, b, "p", []byte("plain"), nil)
	for i := range len(sealed) * 8 {
		changed := bytes.Clone(sealed)
		changed[i/8] ^= 1 << (i % 8)
		if got, err := b.OpenSame("p", changed, nil); !errors.Is(err, ErrOpen) {
			t.Errorf("bit %d flipped: got %q, %v, want ErrOpen", i, got, err)
		}
	}
}

// TestR14OldIDsStayValid: a new server key in front seals, and what the old one has
// sealed opens as long as it stays behind.
func TestR14OldIDsStayValid(t *testing.T) {
	t.Parallel()
	before, between, after := newBox(t, testKey(1)), newBox(t, testKey(2), testKey(1)), newBox(t, testKey(2))
	old, fresh := sealSame(t, before, "p", []byte("plain"), nil), sealSame(t, between, "p", []byte("plain"), nil)
	if bytes.Equal(old, fresh) {
		t.Error("the new key in front seals as the old one did")
	}
	if !bytes.Equal(fresh, sealSame(t, after, "p", []byte("plain"), nil)) {
		t.Error("the key behind the first one changes what is sealed")
	}
	for name, sealed := range map[string][]byte{"the old key": old, "the new key": fresh} {
		if got, err := between.OpenSame("p", sealed, nil); err != nil || string(got) != "plain" {
			t.Errorf("sealed with %s: got %q, %v, want it opened", name, got, err)
		}
	}
	if _, err := after.OpenSame("p", old, nil); !errors.Is(err, ErrOpen) {
		t.Errorf("old key gone: got %v, want ErrOpen", err)
	}
}

// TestR14SameIsSame: two results are the same exactly if everything that went in is.
func TestR14SameIsSame(t *testing.T) {
	t.Parallel()
	b := newBox(t, testKey(1))
	type input struct{ Purpose, Plaintext, Associated string }
	draw := rapid.Custom(func(t *rapid.T) input {
		word := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 0, 3, -1)
		return input{word.Draw(t, "purpose"), word.Draw(t, "plaintext"), word.Draw(t, "associated")}
	})
	rapid.Check(t, func(r *rapid.T) {
		one, two := draw.Draw(r, "one"), draw.Draw(r, "two")
		first := sealSame(t, b, one.Purpose, []byte(one.Plaintext), []byte(one.Associated))
		second := sealSame(t, b, two.Purpose, []byte(two.Plaintext), []byte(two.Associated))
		if got, want := bytes.Equal(first, second), one == two; got != want {
			r.Errorf("results are the same: %v, want %v, of %+v and %+v", got, want, one, two)
		}
		got, err := b.OpenSame(two.Purpose, first, []byte(two.Associated))
		opens := one.Purpose == two.Purpose && one.Associated == two.Associated
		if opens && (err != nil || string(got) != one.Plaintext) || !opens && !errors.Is(err, ErrOpen) {
			r.Errorf("OpenSame of %+v as %+v = %q, %v, want it opened: %v", one, two, got, err, opens)
		}
	})
}

// FuzzOpenSame: nothing opens that was not sealed here.
func FuzzOpenSame(f *testing.F) {
	b := newBox(f, testKey(1))
	sealed := sealSame(f, b, "p", []byte("plain"), []byte("tenant"))
	f.Add(sealed, []byte("tenant"))
	f.Add(sealed, []byte("other"))
	f.Add([]byte{version}, []byte(nil))
	f.Add([]byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, given, associated []byte) {
		got, err := b.OpenSame("p", given, associated)
		if err != nil {
			if !errors.Is(err, ErrOpen) || got != nil {
				t.Errorf("OpenSame = %q, %v, want ErrOpen", got, err)
			}
			return
		}
		if again := sealSame(t, b, "p", got, associated); !bytes.Equal(again, given) {
			t.Errorf("%x opened as %q, which is sealed as %x", given, got, again)
		}
	})
}
