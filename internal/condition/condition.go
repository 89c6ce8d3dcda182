// Package condition says yes or no about a person, a sign-in and a program by an
// expression in CEL (https://cel.dev) that the operator wrote. Expressions are compiled and
// checked when they are declared, cost a bounded amount of work, and see nothing but the
// Facts they are given: no clock, no network. What cannot be found out means no.
package condition

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/interpreter"
)

var (
	// ErrExpression means that an expression cannot be a condition. The wrapping error says
	// where and why, for the person who wrote it.
	ErrExpression = errors.New("not a condition")
	// ErrUndecided means that a condition is neither true nor false of the facts. It means
	// no. The wrapping error says what is missing, and holds no value of a fact.
	ErrUndecided = errors.New("condition: undecided")
)

// Facts are what an expression may ask for.
type Facts struct {
	Now             time.Time      // now
	Claims          map[string]any // claims: kept claims of the identity provider and which of them are Absent; "acr", "amr", "auth_time" (a timestamp), "address", "domain", "login"
	ClientID        string         // client.id
	ClientKind      string         // client.kind: "open", "fixed", "built-in", "registered" or "url"
	ServiceID       string         // service.id
	ServiceProtocol string         // service.protocol
	ServiceAudience string         // service.audience
}

// Condition is a compiled expression. The nil Condition always holds. It may be used by
// many goroutines at once.
type Condition struct {
	source  string
	reads   reads
	program cel.Program
}

// String returns the expression as it was written.
func (c *Condition) String() string {
	if c == nil {
		return ""
	}
	return c.source
}

// Needs returns the names of all claims that the expression asks for, or of which it asks whether
// they are there, sorted. The caller may change the slice.
func (c *Condition) Needs() []string {
	if c == nil {
		return nil
	}
	return c.reads.names()
}

// Compile checks an expression and compiles it. An empty one is nil, which always holds.
// The error wraps ErrExpression and has everything that is wrong, with lines and columns
// of the expression.
func Compile(source string) (*Condition, error) {
	if source == "" {
		return nil, nil
	}
	if len(source) > maxSource {
		return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrExpression, maxSource)
	}
	env, err := language()
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(source)
	if issues.Err() != nil {
		return nil, fmt.Errorf("%w: %s", ErrExpression, faults(issues))
	}
	if !ast.OutputType().IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("%w: it must be true or false, and is of type %s; compare it with something, such as == true", ErrExpression, ast.OutputType())
	}
	estimate, err := env.EstimateCost(ast, sizes{})
	if err != nil {
		return nil, fmt.Errorf("estimate the cost of a condition: %w", err)
	}
	if estimate.Max > maxCost {
		return nil, fmt.Errorf("%w: it may take too much work: do not nest exists and all, and use claims by their names", ErrExpression)
	}
	asked, ok := readsOf(ast)
	if !ok {
		return nil, fmt.Errorf("%w: use claims by their names, such as claims.groups", ErrExpression)
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost), cel.CustomDecoratorV2(compareLikeKinds))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExpression, err)
	}
	return &Condition{source: source, reads: asked, program: program}, nil
}

// faults returns all that is wrong with an expression, each fault with its place, and what
// names there are if one is unknown.
func faults(issues *cel.Issues) string {
	var list []string
	unknown := false
	for _, e := range issues.Errors() {
		message, _, _ := strings.Cut(e.Message, " expecting {") // a list of every kind of token
		unknown = unknown || strings.HasPrefix(message, "undeclared reference")
		list = append(list, fmt.Sprintf("line %d, column %d: %s", e.Location.Line(), e.Location.Column()+1, message))
	}
	if unknown {
		list = append(list, "known names are "+strings.Join(names, ", ")+"; known functions are "+strings.Join(called, ", "))
	}
	return strings.Join(list, "; ")
}

// Holds reports whether the expression is true of the facts. What it needs and is not
// there, what may be there or not, what is of another type than it needs or is compared with, or
// what costs too much means no; the error, which wraps ErrUndecided, says so for the person who
// wants to know why.
func (c *Condition) Holds(f Facts) (bool, error) {
	if c == nil {
		return true, nil
	}
	for _, name := range c.reads.presence {
		if !f.known(name) {
			return false, fmt.Errorf("%w: nobody knows whether there is claim %s: what the identity provider sends of it is not kept", ErrUndecided, name)
		}
	}
	value, _, err := c.program.Eval(activation{f})
	if err != nil {
		return false, fmt.Errorf("%w: %s", ErrUndecided, c.reason(f, err))
	}
	holds, ok := value.Value().(bool)
	if !ok {
		return false, fmt.Errorf("%w: the expression is neither true nor false", ErrUndecided)
	}
	return holds, nil
}

// reason says why an expression could not be evaluated. The evaluator's own words may repeat
// claims, which must not be in logs.
func (c *Condition) reason(f Facts, err error) string {
	if cancelled, ok := errors.AsType[interpreter.EvalCancelledError](err); ok && cancelled.Cause == interpreter.CostLimitExceeded {
		return "the expression takes too much work"
	}
	var missing []string
	for _, name := range c.reads.values {
		if _, found := f.Claims[name]; !found {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	if len(missing) > 0 {
		return "without claim " + strings.Join(missing, ", ")
	}
	return "a value is not of the type that the expression needs, or not in it"
}

// activation gives the expression its facts, by the names that language declares.
type activation struct{ facts Facts }

// ResolveName implements cel.Activation.
func (a activation) ResolveName(name string) (any, bool) {
	switch name {
	case "claims":
		return a.facts.Claims, true
	case "now":
		return a.facts.Now.UTC(), true
	case "client.id":
		return a.facts.ClientID, true
	case "client.kind":
		return a.facts.ClientKind, true
	case "service.id":
		return a.facts.ServiceID, true
	case "service.protocol":
		return a.facts.ServiceProtocol, true
	case "service.audience":
		return a.facts.ServiceAudience, true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (a activation) Parent() cel.Activation { return nil }
