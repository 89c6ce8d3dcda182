package demotest

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"signpost/internal/demo"
	"signpost/internal/demo/stage"
)

const (
	alice = "alice@example.test"
	bob   = "bob@example.test"
)

func walk(t *testing.T, d *stage.Stage, address string) (demo.Report, string) {
	t.Helper()
	var out bytes.Buffer
	report, err := d.Walk(t.Context(), demo.WalkOptions{Address: address, Out: &out})
	if err != nil {
		t.Fatalf("Walk: %v", err)
	}
	return report, out.String()
}

func TestTheWholeWay(t *testing.T) {
	t.Parallel()
	d := Start(t, nil)
	for range 2 { // a second walk counts from nothing again
		r, out := walk(t, d, alice)
		if !r.OK || len(r.Failures) > 0 {
			t.Fatalf("walk failed: %q\n%s", r.Failures, out)
		}
		if r.SignIns != 1 || r.PasswordsGivenToSignpost != 0 || r.ServicesConnected != 5 || r.NeighbourTokensRefused != 5 {
			t.Errorf("report %+v, want 1 sign-in, 0 passwords, 5 services, 5 refused", r)
		}
		if r.RoundTrips < 50 || len(r.Steps) < 50 {
			t.Errorf("%d round trips, %d steps, want 50 or more of both", r.RoundTrips, len(r.Steps))
		}
		for _, group := range []string{"\n1. Discover\n", "\n2. Learn the scopes\n", "\n3. Sign in once\n",
			"\n4. Fetch the configuration\n", "\n5. Exchange\n", "\n6. Connect\n"} {
			if !strings.Contains(out, group) {
				t.Errorf("output lacks %q:\n%s", group, out)
			}
		}
		nothingSecret(t, d, r, out)
	}
}

// nothingSecret looks for passwords, tokens and codes in what was told.
func nothingSecret(t *testing.T, d *stage.Stage, r demo.Report, out string) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatalf("marshal report: %v", err)
	}
	secrets := []string{"eyJ", "code=", "state="}
	for _, p := range d.World.People() {
		secrets = append(secrets, p.Password)
	}
	for _, secret := range secrets {
		if strings.Contains(out, secret) || strings.Contains(string(text), secret) {
			t.Errorf("%q is in what the walk told", secret)
		}
	}
}

func TestTheWalkNamesTheCheckThatIsOff(t *testing.T) {
	t.Parallel()
	checks := map[string]demo.Insecure{
		"signature": {SkipSignature: true},
		"issuer":    {SkipIssuer: true},
		"audience":  {SkipAudience: true},
		"scope":     {SkipScope: true},
		"expiry":    {SkipExpiry: true},
	}
	for check, skip := range checks {
		// Every service lacks the check, so that one walk tells about all of them.
		insecure := make(map[string]demo.Insecure)
		ids := []string{"imap", "submission", "calendar", "contacts", "files"}
		for _, id := range ids {
			insecure[id] = skip
		}
		r, out := walk(t, Start(t, insecure), alice)
		if r.OK {
			t.Errorf("%s is off and the walk is well:\n%s", check, out)
		}
		for _, id := range ids {
			if !slices.ContainsFunc(r.Failures, func(f string) bool { return strings.HasPrefix(f, id+": "+check+": ") }) {
				t.Errorf("%s of %s is off, failures %q do not name it", check, id, r.Failures)
			}
		}
		for _, f := range r.Failures {
			if !strings.Contains(f, ": "+check+": ") && !strings.HasPrefix(f, "neighbour's tokens refused: ") {
				t.Errorf("%s is off, and the walk complains about something else: %s", check, f)
			}
		}
	}
}

func TestTheWalkNamesTheServiceWhoseCheckIsOff(t *testing.T) {
	t.Parallel()
	r, _ := walk(t, Start(t, map[string]demo.Insecure{"calendar": {SkipAudience: true}}), alice)
	want := []string{
		"calendar: audience: a token of files was refused for something else: refused: 403 insufficient_scope",
		"calendar: audience: a token with a wrong audience was taken",
		"neighbour's tokens refused: 4 of 5",
	}
	if r.OK || len(r.Failures) != len(want) {
		t.Fatalf("failures %q, want %q", r.Failures, want)
	}
	for i := range want {
		if !strings.HasPrefix(r.Failures[i], want[i]) {
			t.Errorf("failure %q, want %q", r.Failures[i], want[i])
		}
	}
	if r.NeighbourTokensRefused != 4 || r.ServicesConnected != 5 {
		t.Errorf("report %+v, want 4 refused and 5 connected", r)
	}
}

// TestAServiceCountsByItsMarkerAlone: bob signs in and every service takes his
// tokens, but nothing was put there for him; only his own message arrives.
func TestAServiceCountsByItsMarkerAlone(t *testing.T) {
	t.Parallel()
	r, out := walk(t, Start(t, nil), bob)
	if r.OK || r.ServicesConnected != 1 || r.SignIns != 1 || r.NeighbourTokensRefused != 5 {
		t.Errorf("report %+v, want one service and a failure:\n%s", r, out)
	}
	for _, id := range []string{"imap", "calendar", "contacts", "files"} {
		if !slices.Contains(r.Failures, "connect: "+id+": what was put there at the start was not found") {
			t.Errorf("failures %q do not name %s", r.Failures, id)
		}
	}
}

func TestAPasswordGivenToSignpostIsCounted(t *testing.T) {
	t.Parallel()
	d := Start(t, nil)
	for _, p := range d.World.People() {
		if p.Address != bob {
			continue
		}
		resp, err := http.PostForm(d.URL+"/token", url.Values{"password": {p.Password}})
		if err != nil {
			t.Fatalf("post: %v", err)
		}
		resp.Body.Close()
	}
	r, _ := walk(t, d, alice)
	if r.OK || r.PasswordsGivenToSignpost != 1 || !slices.Contains(r.Failures, "passwords: Signpost was given 1") {
		t.Errorf("report %+v, want one password and a failure", r)
	}
}

func TestWalkOptionsThatDoNotFit(t *testing.T) {
	t.Parallel()
	d := Start(t, nil)
	good := demo.WalkOptions{World: d.World, Address: alice, Out: &bytes.Buffer{}, Forge: d.Forge}
	for name, change := range map[string]func(*demo.WalkOptions){
		"no world":         func(o *demo.WalkOptions) { o.World = nil },
		"no forger":        func(o *demo.WalkOptions) { o.Forge = nil },
		"nowhere to tell":  func(o *demo.WalkOptions) { o.Out = nil },
		"nobody":           func(o *demo.WalkOptions) { o.Address = "nobody@example.test" },
		"without services": func(o *demo.WalkOptions) { o.Address = "carol@other.test" },
	} {
		o := good
		change(&o)
		if _, err := demo.Walk(t.Context(), o); !errors.Is(err, demo.ErrWalk) {
			t.Errorf("%s: Walk = %v, want %v", name, err, demo.ErrWalk)
		}
	}
}

func TestAWalkWithoutSignpostFailsAndSaysWhere(t *testing.T) {
	t.Parallel()
	world, err := demo.NewWorld(t.Context(), demo.Options{Base: "http://127.0.0.1:1", Dir: t.TempDir(), Logger: quiet()})
	if err != nil {
		t.Fatalf("new world: %v", err)
	}
	t.Cleanup(world.Close)
	d := &stage.Stage{World: world}
	r, _ := walk(t, d, alice)
	if r.OK || len(r.Failures) == 0 || !strings.HasPrefix(r.Failures[0], "discover: ") {
		t.Errorf("report %+v, want a failure of discover", r)
	}
}
