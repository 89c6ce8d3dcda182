package directory

import (
	"fmt"
	"strings"
	"testing"
)

func TestR30ProtectedFindsTheLongestPrefix(t *testing.T) {
	t.Parallel()
	http := func(id, audience string) Service {
		return Service{ID: id, Protocol: ProtocolCalDAV, Audience: audience}
	}
	s := mustCompile(t, []Tenant{
		{Name: "one", Placement: PlacementBase, Services: []Service{
			http("dav", "https://dav.one.test"), http("cal", "https://dav.one.test/cal/"), http("work", "https://dav.one.test/cal/work"),
			http("again", "https://dav.one.test/cal/work/"), http("port", "https://dav.one.test:8443/cal/"), http("umlaut", "https://dav.one.test/B%C3%BCcher/"),
			{ID: "mail", Protocol: ProtocolIMAP, Audience: "imap.one.test"},
		}},
		{Name: "two", Placement: PlacementPath, Services: []Service{http("files", "https://files.two.test/dav/"), http("loop", "http://127.0.0.1:8080/")}},
	})
	for url, want := range map[string]string{ // want is tenant and service, or nothing
		"https://dav.one.test":                     "one dav",
		"https://dav.one.test/":                    "one dav",
		"https://dav.one.test/calendars":           "one dav",
		"https://dav.one.test/cal":                 "one cal",
		"https://dav.one.test/cal/":                "one cal",
		"https://dav.one.test/cal/alice/workshop/": "one cal",
		"https://dav.one.test/cal/works":           "one cal",
		"https://dav.one.test/cal/work":            "one work",
		"https://dav.one.test/cal/work/x.ics":      "one work",
		"https://dav.one.test/c%61l/w%6Frk":        "one work",
		"https://dav.one.test/cal/%7Ealice/":       "one cal",
		"https://dav.one.test/B%c3%bccher/x":       "one umlaut",
		"https://dav.one.test:8443/cal/x":          "one port",
		"https://dav.one.test:8443/":               "",
		"https://files.two.test/dav/x":             "two files",
		"https://files.two.test/":                  "",
		"https://files.two.test/davx":              "",
		"http://127.0.0.1:8080/x":                  "two loop",
		"http://127.0.0.1/x":                       "",
		"http://dav.one.test/cal/":                 "",
		"https://dav.one.test:443/cal/":            "",
		"HTTPS://dav.one.test/cal/":                "",
		"https://DAV.one.test/cal/":                "",
		"https://dav.one.test./cal/":               "",
		"https://a@dav.one.test/cal/":              "",
		"https://dav.one.test@evil.test/cal/":      "",
		"https://dav.one.test?x":                   "",
		"https://dav.one.test/cal?x":               "",
		"https://dav.one.test/cal#":                "",
		"https://dav.one.test/cal\\x":              "",
		"https://dav.one.test/cal/../x":            "",
		"https://dav.one.test/cal/%2e%2E/x":        "",
		"https://dav.one.test/./cal":               "",
		"https://dav.one.test/cal%2Fwork":          "",
		"https://dav.one.test/cal%2fwork":          "",
		"https://dav.one.test/cal%5Cwork":          "",
		"https://dav.one.test//cal/":               "",
		"https://dav.one.test/cal//":               "",
		"https://dav.one.test/%zz":                 "",
		"imap.one.test":                            "",
		"https://imap.one.test/":                   "",
		"dav.one.test/cal/":                        "",
		"://dav.one.test/cal/":                     "",
		"":                                         "",
	} {
		r, service, found := s.Protected(url)
		got := ""
		if found {
			got = r.Name + " " + service.ID
		}
		if got != want {
			t.Errorf("Protected(%q) = %q, want %q", url, got, want)
		}
	}
	if _, _, found := (&Snapshot{}).Protected("https://dav.one.test/"); found {
		t.Error("the zero snapshot protects something")
	}
}

func TestR30ProtectedResourcesAreComplete(t *testing.T) {
	t.Parallel()
	r, _ := example(t).Realm("example")
	want := base + "/configuration imap.example.test smtp.example.test https://dav.example.test/cal/ https://cloud.example.net/dav/"
	if got := strings.Join(r.ProtectedResources, " "); got != want {
		t.Errorf("protected resources %s, want %s", got, want)
	}
	services := []Service{{ID: "first", Audience: "host-1.test", Order: 9}, {ID: "before", Audience: "host-2.test", Order: 1}}
	for n := 1; n <= maxProtectedResources; n++ {
		services = append(services, Service{ID: fmt.Sprint(n), Audience: fmt.Sprintf("host-%d.test", n), Order: 10})
	}
	tenant := Tenant{Name: "full", Placement: PlacementBase, Services: services}
	full, _ := mustCompile(t, []Tenant{tenant}).Realm("full")
	if got := Warnings([]Tenant{tenant}); got != nil {
		t.Errorf("with 200 audiences the operator is warned: %q", got)
	}
	if got := full.ProtectedResources; len(got) != 201 || got[0] != base+"/configuration" || got[1] != "host-2.test" || got[2] != "host-1.test" || got[200] != "host-200.test" {
		t.Errorf("with 200 audiences %d resources, which begin with %q; want all of them once, by order", len(got), got[:min(3, len(got))])
	}
	tenant.Name, tenant.Services = "over", append(services, Service{ID: "more", Audience: "more.test"})
	over, _ := mustCompile(t, []Tenant{tenant}).Realm("over")
	if got := Warnings([]Tenant{{Name: "none"}, tenant}); len(got) != 1 || !strings.HasPrefix(got[0], "tenant over: its 201 audiences are more than 200") {
		t.Errorf("with 201 audiences the operator is told %q", got)
	}
	if over.ProtectedResources != nil {
		t.Errorf("with 201 audiences %d resources are published, want none", len(over.ProtectedResources))
	}
}
