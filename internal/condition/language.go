package condition

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Bounds of an expression. A comparison of two words within "exists" costs about 5; maxCost is
// a few milliseconds of work.
const (
	maxSource  = 4096
	maxNodes   = 2000
	maxDepth   = 50
	maxNesting = 2 // of "exists" and "all"
	maxCost    = 50_000
)

// Sizes that claims are taken to have where the work is estimated. Larger ones are met by
// the limit while an expression is evaluated.
const (
	usualMembers = 200 // of a list
	usualText    = 64  // bytes
)

// names are the variables, as messages list them.
var names = []string{"claims", "now", "client.id", "client.kind", "service.id", "service.protocol", "service.audience"}

// macros are those that only look at what is there: none makes a list.
var macros = []string{operators.Has, operators.All, operators.Exists}

// functions are those of CEL that make nothing larger than what they are given, and take no
// regular expressions and no names of time zones. So no expression can grow what it works
// on, and none waits for a file.
var functions = []*env.Function{
	env.NewFunction(operators.Conditional), env.NewFunction(operators.LogicalAnd), env.NewFunction(operators.LogicalOr),
	env.NewFunction(operators.LogicalNot), env.NewFunction(operators.NotStrictlyFalse),
	env.NewFunction(operators.Equals), env.NewFunction(operators.NotEquals),
	env.NewFunction(operators.Less), env.NewFunction(operators.LessEquals),
	env.NewFunction(operators.Greater), env.NewFunction(operators.GreaterEquals),
	env.NewFunction(operators.In), env.NewFunction(operators.Index),
	env.NewFunction(operators.Negate), env.NewFunction(operators.Subtract),
	env.NewFunction(overloads.Size), env.NewFunction(overloads.Contains),
	env.NewFunction(overloads.StartsWith), env.NewFunction(overloads.EndsWith),
	env.NewFunction(overloads.TypeConvertInt), env.NewFunction(overloads.TypeConvertDouble),
	env.NewFunction(overloads.TypeConvertTimestamp), env.NewFunction(overloads.TypeConvertDuration),
	inUTC(overloads.TimeGetFullYear, overloads.TimestampToYear), inUTC(overloads.TimeGetMonth, overloads.TimestampToMonth),
	inUTC(overloads.TimeGetDate, overloads.TimestampToDayOfMonthOneBased), inUTC(overloads.TimeGetDayOfWeek, overloads.TimestampToDayOfWeek),
	inUTC(overloads.TimeGetHours, overloads.TimestampToHours), inUTC(overloads.TimeGetMinutes, overloads.TimestampToMinutes),
}

// inUTC is a function of a timestamp without its overloads that take a time zone.
func inUTC(name, overload string) *env.Function {
	return env.NewFunction(name, &env.Overload{ID: overload})
}

// called are the macros and functions that have a name, as messages list them.
var called = []string{
	"has", "exists", "all", "size", "contains", "startsWith", "endsWith", "lowerAscii", "int", "double", "timestamp", "duration",
	"getFullYear", "getMonth", "getDate", "getDayOfWeek", "getHours", "getMinutes",
}

// language is what expressions are written in.
var language = sync.OnceValues(func() (*cel.Env, error) {
	subset := env.NewLibrarySubset().AddIncludedMacros(macros...).AddIncludedFunctions(functions...)
	e, err := cel.NewCustomEnv(
		cel.StdLib(cel.StdLibSubset(subset)),
		cel.Variable("claims", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("now", cel.TimestampType),
		cel.Variable("client.id", cel.StringType),
		cel.Variable("client.kind", cel.StringType),
		cel.Variable("service.id", cel.StringType),
		cel.Variable("service.protocol", cel.StringType),
		cel.Variable("service.audience", cel.StringType),
		cel.Function("lowerAscii", cel.MemberOverload("string_lower_ascii", []*cel.Type{cel.StringType}, cel.StringType, cel.UnaryBinding(lowerASCII))),
		cel.CostModel(cost.MemberOverload("string_lower_ascii",
			cost.EvalCost(cost.Sum(cost.Const(cost.CallCost), cost.StringScan(cost.Length(cost.Target())))),
			cost.ResultSize(cost.Length(cost.Target())))),
		cel.CostSizingStrategy(cost.AggregateSizingStrategy()),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(maxSource),
		cel.ParserRecursionLimit(maxDepth),
		cel.ExpressionNodeLimit(maxNodes),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateComprehensionNestingLimit(maxNesting),
		),
	)
	if err != nil {
		return nil, fmt.Errorf("set up the language of conditions: %w", err)
	}
	return e, nil
})

// lowerASCII makes letters A to Z small, as the function of that name in CEL's strings
// extension does.
func lowerASCII(value ref.Val) ref.Val {
	text, ok := value.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(value)
	}
	return types.String(strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, string(text)))
}

// sizes tells how large facts usually are.
type sizes struct{}

// EstimateSize implements cost.Estimator.
func (sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	if len(node.Path()) == 0 {
		return nil
	}
	size := cost.RangedSizeEstimate(0, usualText)
	switch node.Type().Kind() {
	case types.ListKind, types.DynKind:
		size = cost.ListSizeEstimate(cost.RangedSizeEstimate(0, usualMembers), size)
	case types.MapKind:
		size = cost.MapSizeEstimate(cost.RangedSizeEstimate(0, usualMembers), size, size)
	}
	return &size
}

// EstimateCallCost implements cost.Estimator: the usual costs.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// reads are the claims that an expression asks for, by name.
type reads struct {
	values   []string // whose value it asks for
	presence []string // of which it asks whether they are there
}

// readsOf returns what an expression asks for. It is false if the expression uses claims other
// than by their names: then nobody could tell what it asks for.
func readsOf(checked *cel.Ast) (reads, bool) {
	var found reads
	uses := 0
	ast.PostOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if isClaims(e) {
			uses++
		}
		if name, ok := valueOf(e); ok {
			found.values = append(found.values, name)
			uses--
		}
		if name, ok := presenceOf(e); ok {
			found.presence = append(found.presence, name)
			uses--
		}
	}))
	return found, uses == 0
}

// names returns all claims that are asked for, sorted.
func (r reads) names() []string {
	all := slices.Concat(r.values, r.presence)
	slices.Sort(all)
	return slices.Compact(all)
}

// valueOf returns the name in claims.NAME or claims["NAME"].
func valueOf(e ast.Expr) (string, bool) {
	if e.Kind() == ast.SelectKind {
		s := e.AsSelect()
		return s.FieldName(), isClaims(s.Operand()) && !s.IsTestOnly()
	}
	if args, ok := argumentsOf(e, operators.Index); ok && isClaims(args[0]) {
		return textOf(args[1])
	}
	return "", false
}

// presenceOf returns the name in has(claims.NAME) or "NAME" in claims.
func presenceOf(e ast.Expr) (string, bool) {
	if e.Kind() == ast.SelectKind {
		s := e.AsSelect()
		return s.FieldName(), isClaims(s.Operand()) && s.IsTestOnly()
	}
	if args, ok := argumentsOf(e, operators.In); ok && isClaims(args[1]) {
		return textOf(args[0])
	}
	return "", false
}

// argumentsOf returns the arguments of a call of an operator with two.
func argumentsOf(e ast.Expr, operator string) ([]ast.Expr, bool) {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != operator {
		return nil, false
	}
	args := e.AsCall().Args()
	return args, len(args) == 2
}

func textOf(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	text, ok := e.AsLiteral().Value().(string)
	return text, ok
}

func isClaims(e ast.Expr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == "claims" }
