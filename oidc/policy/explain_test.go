package policy_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"signpost/oidc/policy"
)

// disagrees says what an explanation gets wrong, in one sentence; empty for nothing.
func disagrees(r policy.Request, e policy.Explanation) string {
	if !reflect.DeepEqual(e.Decision, policy.Decide(r)) {
		return "it decides otherwise than Decide"
	}
	for i, s := range e.Steps {
		if s.Rule == "" || s.Why == "" || strings.Contains(s.Why, "%!") {
			return "a step without rule or reason"
		}
		if !s.Holds && i < len(e.Steps)-1 {
			return "a step that does not hold and is not the last"
		}
	}
	if len(e.Steps) == 0 {
		return "nothing was asked"
	}
	last := e.Steps[len(e.Steps)-1]
	switch {
	case last.Holds != e.Decision.Allowed():
		return "the last step does not decide"
	case !last.Holds && last.Rule != e.Decision.Rule:
		return "the last step is of another rule than the decision"
	case (e.Change == "") != e.Decision.Allowed():
		return "what would have to change goes with a refusal, and with nothing else"
	}
	return ""
}

// TestExplainNeverDisagrees asks random questions.
func TestExplainNeverDisagrees(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for range requestsPerWorld {
			r := w.drawRequest(t)
			if e := policy.Explain(r); disagrees(r, e) != "" {
				t.Fatalf("%s: %+v\nrequest %+v\nsubject %+v\ndecision %+v", disagrees(r, e), e, r, r.Subject, policy.Decide(r))
			}
		}
	})
}

// TestExplainSaysWhatWouldHaveToChange for each rule, in words of its own.
func TestExplainSaysWhatWouldHaveToChange(t *testing.T) {
	t.Parallel()
	said := map[string][]string{}
	for _, c := range slices.Concat(belonging(), kinds(), targets(), widths(), logins(), bindings(), conditions(t), passwords()) {
		r := request(t, c.way)
		c.edit(&r)
		e := policy.Explain(r)
		if wrong := disagrees(r, e); wrong != "" {
			t.Errorf("%s: %s: %s: %+v", c.way, c.name, wrong, e)
		}
		if e.Change != "" && !slices.Contains(said[e.Change], e.Decision.Rule) {
			said[e.Change] = append(said[e.Change], e.Decision.Rule)
		}
	}
	for change, rules := range said {
		if len(rules) > 1 && !strings.Contains(change, "DPoP") {
			t.Errorf("%v all want: %s", rules, change)
		}
	}
	if len(said) < 20 {
		t.Errorf("only %d different sentences: %v", len(said), said)
	}
}

func TestExplainNamesWhatIsDeclared(t *testing.T) {
	t.Parallel()
	r := request(t, policy.Exchange)
	demands(t, `claims.department == "sales"`, false)(&r)
	e := policy.Explain(r)
	want := policy.Step{
		Rule: policy.RuleCondition,
		Why:  `the condition of service mail (imap.example.test) does not hold: claims.department == "sales" (without claim department)`,
	}
	if got := e.Steps[len(e.Steps)-1]; got != want {
		t.Errorf("last step\n got %+v\nwant %+v", got, want)
	}
	if !strings.Contains(e.Change, "condition") {
		t.Errorf("change %q", e.Change)
	}
	var asked []string
	for _, s := range e.Steps {
		asked = append(asked, s.Rule)
	}
	if got, want := strings.Join(asked, " "), "tenant tenant grant broad client person expired binding target target condition"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
}
