package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Report is what a walk found. Each figure was counted where the thing happened.
type Report struct {
	OK                       bool     `json:"ok"`
	SignIns                  int64    `json:"sign_ins"`                    // counted by the identity providers
	PasswordsGivenToSignpost int64    `json:"passwords_given_to_signpost"` // counted by the recorder before Signpost
	ServicesConnected        int      `json:"services_connected"`          // whose random marker was read back, or whose message arrived
	NeighbourTokensRefused   int      `json:"neighbour_tokens_refused"`    // with the right token taken just before and after
	RoundTrips               int64    `json:"round_trips"`                 // counted by the walk's connections
	Steps                    []Step   `json:"steps"`                       // in order
	Failures                 []string `json:"failures,omitempty"`          // what did not hold; empty if OK
}

// Step is one thing that was asked and what came.
type Step struct {
	Name    string  `json:"name"`
	Request string  `json:"request"`
	Status  string  `json:"status"`
	MS      float64 `json:"ms"`
}

// printer writes a walk as it goes: numbered groups, a line for each step.
type printer struct {
	out    io.Writer
	groups int
}

const (
	requestWidth = 54
	statusWidth  = 34
)

func (p *printer) title(format string, args ...any) {
	fmt.Fprintf(p.out, format+"\n", args...)
}

func (p *printer) group(title string) {
	p.groups++
	fmt.Fprintf(p.out, "\n%d. %s\n", p.groups, title)
}

func (p *printer) last(title string) { fmt.Fprintf(p.out, "\n%s\n", title) }

func (p *printer) step(s Step) {
	fmt.Fprintf(p.out, "   %s %s %6.1f ms\n", pad(s.Request, requestWidth), pad(s.Status, statusWidth), s.MS)
}

// note says in words what the steps above came to.
func (p *printer) note(format string, args ...any) {
	fmt.Fprintf(p.out, "   = %s\n", fmt.Sprintf(format, args...))
}

func (p *printer) failure(text string) {
	fmt.Fprintf(p.out, "   ! %s\n", text)
}

func (p *printer) summary(r Report, services int) {
	for _, line := range []struct {
		name string
		text string
	}{
		{"sign-ins at the identity provider", fmt.Sprint(r.SignIns)},
		{"passwords given to Signpost", fmt.Sprint(r.PasswordsGivenToSignpost)},
		{"services connected", fmt.Sprintf("%d of %d", r.ServicesConnected, services)},
		{"neighbour's tokens refused", fmt.Sprintf("%d of %d", r.NeighbourTokensRefused, services)},
		{"round trips", fmt.Sprint(r.RoundTrips)},
	} {
		fmt.Fprintf(p.out, "   %s %s\n", pad(line.name, requestWidth), line.text)
	}
	if r.OK {
		fmt.Fprintln(p.out, "\nAll of it held.")
		return
	}
	fmt.Fprintf(p.out, "\nThis did not hold:\n")
	for _, f := range r.Failures {
		p.failure(f)
	}
}

// pad fills a text up to a width, or shortens it in the middle to keep columns.
func pad(text string, width int) string {
	n := utf8.RuneCountInString(text)
	if n <= width {
		return text + strings.Repeat(" ", width-n)
	}
	runes := []rune(text)
	tail := width / 3
	head := width - tail - 1
	return string(runes[:head]) + "…" + string(runes[n-tail:])
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(100*time.Microsecond).Microseconds()) / 1000
}
