package demo

import (
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"signpost/webfinger"
)

// tracer sends HTTP requests, counts them and tells about each: what was asked,
// what came, how long it took.
type tracer struct {
	next  http.RoundTripper
	home  string // host of Signpost: its URLs are told by path alone
	trips *atomic.Int64
	told  func(Step)
	now   func() time.Time
}

func (t tracer) RoundTrip(req *http.Request) (*http.Response, error) {
	t.trips.Add(1)
	start := t.now()
	resp, err := t.next.RoundTrip(req)
	step := Step{Name: req.URL.Path, Request: req.Method + " " + t.shown(req.URL), MS: milliseconds(t.now().Sub(start))}
	switch {
	case err != nil:
		step.Status = "no answer"
	case resp.Header.Get("Location") != "":
		step.Status = strconv.Itoa(resp.StatusCode)
		if to, err := req.URL.Parse(resp.Header.Get("Location")); err == nil {
			step.Status += " to " + t.shown(to)
		}
	default:
		step.Status = strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode)
	}
	t.told(step)
	return resp, err
}

// shown is a URL without what may be secret: of the query, only the resource that
// WebFinger is asked about.
func (t tracer) shown(u *url.URL) string {
	out := u.Path
	if u.Host != t.home {
		out = u.Host + u.Path
	}
	if resource := u.Query().Get("resource"); resource != "" && u.Path == webfinger.Path {
		out += "?resource=" + resource
	}
	return out
}
