package web_test

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"

	"signpost/web"
)

func TestAssetsAreNamedByTheirContent(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`^/assets/[0-9a-f]{24}\.(css|svg)$`)
	first, second := newPages(t).Assets(), newPages(t).Assets()
	seen := map[string]bool{}
	for i, a := range first {
		if !name.MatchString(a.Path) {
			t.Errorf("path %q does not match %s", a.Path, name)
		}
		if len(a.Body) == 0 || a.MediaType == "" {
			t.Errorf("asset %q has no body or no media type", a.Path)
		}
		if second[i].Path != a.Path {
			t.Errorf("path = %q, then %q: it depends on more than the content", a.Path, second[i].Path)
		}
		if seen[a.Path] {
			t.Errorf("path %q twice", a.Path)
		}
		seen[a.Path] = true
	}
}

// stylesheet returns the one stylesheet among the assets.
func stylesheet(t *testing.T, p *web.Pages) []byte {
	t.Helper()
	var found [][]byte
	for _, a := range p.Assets() {
		if strings.HasPrefix(a.MediaType, "text/css") {
			found = append(found, a.Body)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d stylesheets among the assets, want 1", len(found))
	}
	return found[0]
}

func TestStylesheetIsAnAssetAndLoadsNothing(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	css := stylesheet(t, p)
	for _, word := range []string{"url(", "@import", "expression(", "//"} {
		if bytes.Contains(css, []byte(word)) {
			t.Errorf("stylesheet contains %q", word)
		}
	}
}

// The mark is served as a document of its own: it must not run or load anything.
func TestImagesAreInert(t *testing.T) {
	t.Parallel()
	for _, a := range newPages(t).Assets() {
		if a.MediaType != "image/svg+xml" {
			continue
		}
		for _, word := range []string{"script", "style", "href", "on", "foreignObject"} {
			if bytes.Contains(a.Body, []byte("<"+word)) || bytes.Contains(a.Body, []byte(" "+word)) {
				t.Errorf("image %q contains %q", a.Path, word)
			}
		}
	}
}

// WCAG 2.2, success criterion 1.4.3 asks for 4.5:1 for text, 1.4.11 for 3:1 for
// the borders of controls and the focus outline.
func TestContrast(t *testing.T) {
	t.Parallel()
	css := stylesheet(t, newPages(t))
	light, dark, ok := strings.Cut(string(css), "@media (prefers-color-scheme: dark)")
	if !ok {
		t.Fatal("stylesheet has no dark scheme")
	}
	dark, _, _ = strings.Cut(dark, "\n}\n")
	pairs := []struct {
		front, back string
		least       float64
	}{
		{"text", "ground", 4.5}, {"text", "sheet", 4.5},
		{"muted", "ground", 4.5}, {"muted", "sheet", 4.5},
		{"accent", "ground", 4.5}, {"accent", "sheet", 4.5}, {"accent", "tint", 4.5},
		{"accent-strong", "sheet", 4.5}, {"accent-strong", "ground", 4.5},
		{"on-accent", "accent", 4.5}, {"on-accent", "accent-strong", 4.5},
		{"on-tint", "tint", 4.5}, {"on-warn", "warn", 4.5},
		{"border", "sheet", 3},
	}
	for scheme, src := range map[string]string{"light": light, "dark": dark} {
		for _, pair := range pairs {
			front, back := luminance(t, src, pair.front), luminance(t, src, pair.back)
			got := (max(front, back) + 0.05) / (min(front, back) + 0.05)
			if got < pair.least {
				t.Errorf("%s: %s on %s has a contrast of %.2f, want %.1f", scheme, pair.front, pair.back, got, pair.least)
			}
		}
	}
}

// luminance returns the relative luminance (WCAG 2.2) of a named colour.
func luminance(t *testing.T, css, name string) float64 {
	t.Helper()
	match := regexp.MustCompile(`--` + name + `: #([0-9a-f]{6});`).FindStringSubmatch(css)
	if match == nil {
		t.Fatalf("no colour %q", name)
	}
	var red, green, blue uint8
	if _, err := fmt.Sscanf(match[1], "%02x%02x%02x", &red, &green, &blue); err != nil {
		t.Fatalf("colour %q: %v", match[1], err)
	}
	linear := func(c uint8) float64 {
		v := float64(c) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(red) + 0.7152*linear(green) + 0.0722*linear(blue)
}

func BenchmarkConsent(b *testing.B) {
	p, err := web.New()
	if err != nil {
		b.Fatal(err)
	}
	write := testPages(p)["consent, open client"]
	var page bytes.Buffer
	for b.Loop() {
		page.Reset()
		if err := write(&page, "de"); err != nil {
			b.Fatal(err)
		}
	}
}
