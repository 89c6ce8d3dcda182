package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"signpost/internal/demo"
	"signpost/internal/demo/demotest"
)

// TestDemoWalkFailsWithEachCheckOff switches the servers' checks off in turn: the
// command must fail and name the check.
func TestDemoWalkFailsWithEachCheckOff(t *testing.T) {
	t.Parallel()
	for check, off := range map[string]demo.Insecure{
		"signature": {SkipSignature: true},
		"issuer":    {SkipIssuer: true},
		"audience":  {SkipAudience: true},
		"scope":     {SkipScope: true},
		"expiry":    {SkipExpiry: true},
	} {
		t.Run(check, func(t *testing.T) {
			t.Parallel()
			s := demotest.Start(t, map[string]demo.Insecure{"calendar": off})
			var out, errs bytes.Buffer
			p := &program{stdout: &out, stderr: &errs}
			err := p.walkDemo(t.Context(), s, true)
			if !errors.As(err, new(failed)) {
				t.Errorf("walkDemo = %v, want the exit code of a failure", err)
			}
			if got := errs.String(); !strings.Contains(got, "calendar") || !strings.Contains(got, check) {
				t.Errorf("stderr names neither calendar nor %s: %q", check, got)
			}
			if !strings.Contains(out.String(), `"ok": false`) {
				t.Errorf("report is not a failure: %s", out.String())
			}
		})
	}
}
