package apppassword_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"signpost/oidc/apppassword"
)

// sample is the password of all bytes that count up, so that every group is known.
const sample = "0123-4567-89abc-defgh-jkmnp-qrstv-wxyz01"

func counting(t testing.TB) apppassword.Password {
	t.Helper()
	var b [64]byte
	for i := range b {
		b[i] = byte(i)
	}
	p, err := apppassword.New(bytes.NewReader(b[:]))
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return p
}

// TestR21Format: a selector of 40 bits and a secret of at least 128, generated, in letters that are easy to type.
func TestR21Format(t *testing.T) {
	t.Parallel()
	p := counting(t)
	if p.Reveal() != sample || p.Selector() != "01234567" {
		t.Errorf("got %q with the selector %q, want %q", p.Reveal(), p.Selector(), sample)
	}
	form := regexp.MustCompile(`^[0-9a-hjkmnp-tv-z]{4}-[0-9a-hjkmnp-tv-z]{4}(-[0-9a-hjkmnp-tv-z]{5}){4}-[0-9a-hjkmnp-tv-z]{6}$`)
	seen := map[string]bool{}
	letters := map[rune]int{}
	for range 1000 {
		made, err := apppassword.New(rand.Reader)
		if err != nil {
			t.Fatalf("New: %v", err)
		}
		shown := made.Reveal()
		if !form.MatchString(shown) || seen[shown] || seen[made.Selector()] {
			t.Fatalf("made %q: another form, or a second time", shown)
		}
		seen[shown], seen[made.Selector()] = true, true
		for _, letter := range strings.ReplaceAll(shown, "-", "") {
			letters[letter]++
		}
	}
	for _, letter := range "0123456789abcdefghjkmnpqrstvwxyz" { // each about 1,062 times
		if n := letters[letter]; n < 850 || n > 1300 {
			t.Errorf("%q stands %d times in 34,000 letters, want each as often", letter, n)
		}
	}
}

func TestNewNeedsRandomness(t *testing.T) {
	t.Parallel()
	if p, err := apppassword.New(bytes.NewReader(make([]byte, 33))); !errors.Is(err, io.ErrUnexpectedEOF) || p.Reveal() != "" || p.Selector() != "" {
		t.Errorf("New with too few random bytes = %q, %v, want none and an error", p.Reveal(), err)
	}
}

// TestR21Typing: as people and programs write it. What does not have the form is no app password.
func TestR21Typing(t *testing.T) {
	t.Parallel()
	plain := strings.ReplaceAll(sample, "-", "")
	for name, c := range map[string]struct {
		typed string
		good  bool
	}{
		"as shown":               {sample, true},
		"without hyphens":        {plain, true},
		"capitals":               {strings.ToUpper(sample), true},
		"spaces at the ends":     {" \t" + sample + "\r\n", true},
		"o for 0":                {"o" + plain[1:], true},
		"O and L for 0 and 1":    {"OL" + plain[2:], true},
		"i for 1":                {strings.Replace(sample, "1", "i", 1), true},
		"empty":                  {"", false},
		"spaces":                 {"   ", false},
		"one letter less":        {plain[1:], false},
		"one letter more":        {plain + "0", false},
		"one hyphen less":        {strings.Replace(sample, "-", "", 1), false},
		"hyphens elsewhere":      {"-" + strings.Replace(sample, "-", "", 1), false},
		"hyphens in another way": {"01-234567-89abc-defgh-jkmnp-qrstv-wxyz01", false},
		"spaces for hyphens":     {strings.ReplaceAll(sample, "-", " "), false},
		"u":                      {"u" + plain[1:], false},
		"another letter":         {"ä" + plain[2:], false},
		"fullwidth digits":       {"０" + plain[3:], false},
		"a zero byte":            {"\x00" + plain[1:], false},
		"a JSON web token":       {"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln", false},
		"an opaque token":        {"spt_" + plain[:30], false},
	} {
		got, ok := apppassword.Parse(c.typed)
		if ok != c.good || ok && got.Reveal() != sample || !ok && got.Reveal() != "" {
			t.Errorf("%s: Parse(%q) = %q, %v, want %v", name, c.typed, got.Reveal(), ok, c.good)
		}
	}
}

// FuzzParse: whatever parses is shown as a password, which parses back to itself alone.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{sample, strings.ToUpper(sample), "OIL" + sample[3:], "", strings.Repeat("-", 40), strings.Repeat("o", 34)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		p, ok := apppassword.Parse(typed)
		if !ok {
			return
		}
		shown := p.Reveal()
		again, ok := apppassword.Parse(shown)
		if !ok || again != p || again.Reveal() != shown || p.Selector() != strings.ReplaceAll(shown, "-", "")[:8] {
			t.Fatalf("%q is shown as %q, which is read as %q, %v", typed, shown, again.Reveal(), ok)
		}
		// Nothing but case, hyphens, space at the ends and look-alikes may differ.
		told := strings.NewReplacer("o", "0", "i", "1", "l", "1").Replace(strings.ToLower(strings.TrimSpace(typed)))
		if told != shown && told != strings.ReplaceAll(shown, "-", "") {
			t.Fatalf("%q was read as %q", typed, shown)
		}
	})
}

// TestPasswordHidesItself from logs and messages.
func TestPasswordHidesItself(t *testing.T) {
	t.Parallel()
	p := counting(t)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if got := fmt.Sprintf(format, p); strings.Contains(got, "4567") {
			t.Errorf("%s prints %q", format, got)
		}
	}
}
