package web_test

import (
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"rsc.io/qr"

	"signpost/web"
)

// R16: a code in the address fills in the field, and the person still has to send it.
func TestR16DeviceCodePage(t *testing.T) {
	t.Parallel()
	pages := testPages(newPages(t))
	for name, want := range map[string]string{"device": "", "device, filled in": "BCDF-GHJK", "device, wrong": "BCDF-GHJ"} {
		tree := render(t, pages[name], "en")
		form := onlyForm(t, name, tree)
		inputs, buttons := elements(form, "input"), elements(form, "button")
		if len(inputs) != 1 || len(buttons) != 1 {
			t.Fatalf("%s: %d inputs and %d buttons, want one of each", name, len(inputs), len(buttons))
		}
		if got, _ := attribute(inputs[0], "value"); got != want {
			t.Errorf("%s: the field holds %q, want %q", name, got, want)
		}
		alerts := strings.Contains(text(form), "No device waits with this code.")
		if alerts != (name == "device, wrong") {
			t.Errorf("%s: the page says that the code is wrong: %t", name, alerts)
		}
		if got := text(form); !strings.Contains(got, "Type a code only from a device in front of you.") {
			t.Errorf("%s: no warning in %q", name, got)
		}
	}
}

// R16: the page shows code, client and place of the asking device and asks whether the
// person started this just now.
func TestR16DeviceConfirmPage(t *testing.T) {
	t.Parallel()
	pages := testPages(newPages(t))
	for name, wants := range map[string][]string{
		"device, confirm":       {"Did you start this just now?", "BCDF-GHJK", "A program on another device", "It did not identify itself", "192.0.2.7, less than a minute ago", "read, send and delete your mail", "Example Organisation"},
		"device, confirm named": {"It says that it is Example TV, but nobody can check that.", "2001:db8::7, 5 minutes ago"},
	} {
		tree := render(t, pages[name], "en")
		got := text(elements(tree, "main")[0])
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in %q", name, want, got)
			}
		}
		form := onlyForm(t, name, tree)
		if got := text(form); !strings.Contains(got, "Say yes only if you started this yourself, just now") {
			t.Errorf("%s: no warning in %q", name, got)
		}
		var decisions []string
		for _, b := range elements(form, "button") {
			value, _ := attribute(b, "value")
			decisions = append(decisions, value)
		}
		if strings.Join(decisions, " ") != web.DecisionAllow+" deny" {
			t.Errorf("%s: the buttons decide %q, want %q and deny", name, decisions, web.DecisionAllow)
		}
	}
}

func TestDeviceAges(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	for age, want := range map[time.Duration]string{
		-time.Second: "less than a minute ago", 0: "less than a minute ago", 59 * time.Second: "less than a minute ago",
		time.Minute: "one minute ago", 119 * time.Second: "one minute ago", 2 * time.Minute: "2 minutes ago", 9*time.Minute + 59*time.Second: "9 minutes ago",
	} {
		write := func(w io.Writer, lang string) error {
			return p.DeviceConfirm(w, lang, web.DeviceConfirm{Age: age})
		}
		if got := text(elements(render(t, write, "en"), "main")[0]); !strings.Contains(got, want) {
			t.Errorf("age %v: no %q in %q", age, want, got)
		}
	}
}

func TestDeviceDonePages(t *testing.T) {
	t.Parallel()
	pages := testPages(newPages(t))
	for name, want := range map[string]string{
		"device, allowed": "The device goes on by itself in a few seconds.",
		"device, denied":  "You did not allow it. Nothing was opened.",
		"device, failed":  "Go back to your device and start again there.",
	} {
		if got := text(elements(render(t, pages[name], "en"), "main")[0]); !strings.Contains(got, want) {
			t.Errorf("%s: no %q in %q", name, want, got)
		}
	}
}

// The consent page after a device's code does not speak of this device.
func TestR16ConsentForAnotherDevice(t *testing.T) {
	t.Parallel()
	got := text(elements(render(t, testPages(newPages(t))["consent, device"], "en"), "main")[0])
	for _, want := range []string{"A program on another device", "The answer goes to the device whose code you typed.", "on a device in front of you."} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	if strings.Contains(got, "on this device") {
		t.Errorf("the page speaks of this device: %q", got)
	}
}

// What is drawn is module for module the QR code of the link, with the margin that readers need.
func TestDeviceQRCode(t *testing.T) {
	t.Parallel()
	const link = "https://id.example.test/device?user_code=BCDF-GHJK"
	want, err := qr.Encode(link, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	var drawing *html.Node
	for _, n := range elements(render(t, testPages(newPages(t))["device, filled in"], "en"), "svg") {
		if class, _ := attribute(n, "class"); class == "qr" {
			drawing = n
		}
	}
	if drawing == nil {
		t.Fatal("the page has no QR code")
	}
	side := strconv.Itoa(want.Size + 8)
	if box, _ := attribute(drawing, "viewbox"); box != "0 0 "+side+" "+side {
		if box, _ = attribute(drawing, "viewBox"); box != "0 0 "+side+" "+side {
			t.Errorf("viewBox = %q, want a side of %s", box, side)
		}
	}
	paths := elements(drawing, "path")
	path, _ := attribute(paths[len(paths)-1], "d")
	dark := map[[2]int]bool{}
	run := regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`)
	for _, m := range run.FindAllStringSubmatch(path, -1) {
		x, y, n := number(t, m[1]), number(t, m[2]), number(t, m[3])
		if m[3] != m[4] {
			t.Errorf("run %q does not close", m[0])
		}
		for i := range n {
			dark[[2]int{x + i, y}] = true
		}
	}
	if rest := run.ReplaceAllString(path, ""); rest != "" {
		t.Errorf("the path has more than runs: %q", rest)
	}
	for y := range want.Size + 8 {
		for x := range want.Size + 8 {
			if got, want := dark[[2]int{x, y}], want.Black(x-4, y-4); got != want {
				t.Fatalf("module %d, %d is dark: %t, want %t", x, y, got, want)
			}
		}
	}
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func onlyForm(t *testing.T, name string, tree *html.Node) *html.Node {
	t.Helper()
	forms := elements(tree, "form")
	if len(forms) != 1 {
		t.Fatalf("%s: %d forms, want 1", name, len(forms))
	}
	method, _ := attribute(forms[0], "method")
	if action, _ := attribute(forms[0], "action"); method != "post" || action != "/device" {
		t.Errorf("%s: the form is sent by %s to %s, want post to /device", name, method, action)
	}
	return forms[0]
}
