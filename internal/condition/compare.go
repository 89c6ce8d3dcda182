package condition

import (
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

// comparison is ==, != or "in". In CEL two values of unlike kinds are unequal, so that
// claims.suspended != true would hold of "true", and !("guests" in claims.groups) of [["guests"]].
// Here such a comparison is an error, so it means no.
type comparison struct {
	call        interpreter.InterpretableCall // as CEL has it: where it stands, what it costs
	left, right interpreter.InterpretableV2
	compare     func(left, right ref.Val) ref.Val
}

// compareLikeKinds puts comparisons in the place of those of CEL.
func compareLikeKinds(step interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := step.(interpreter.InterpretableCall)
	if !ok {
		return step, nil
	}
	var compare func(left, right ref.Val) ref.Val
	switch call.Function() {
	case operators.Equals:
		compare = equal
	case operators.NotEquals:
		compare = unequal
	case operators.In:
		compare = in
	default:
		return step, nil
	}
	args := call.Args()
	return &comparison{call, args[0], args[1], compare}, nil
}

// ID implements interpreter.Interpretable.
func (c *comparison) ID() int64 { return c.call.ID() }

// Eval implements interpreter.Interpretable.
func (c *comparison) Eval(vars interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(vars, c.Exec)
}

// Exec implements interpreter.InterpretableV2.
func (c *comparison) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	left := c.left.Exec(frame)
	if types.IsUnknownOrError(left) {
		return left
	}
	right := c.right.Exec(frame)
	if types.IsUnknownOrError(right) {
		return right
	}
	result := c.compare(left, right)
	if costs := frame.CostTracker(); costs != nil {
		costs.EvalBinary(frame, c.call.ID(), c.call, left, right, result)
	}
	return result
}

func unlike() ref.Val { return types.NewErr("two values of unlike kinds are compared") }

// kind is the type of a value, where all numbers are of one type, as all lists and all maps are.
func kind(value ref.Val) ref.Type {
	switch value.(type) {
	case types.Int, types.Uint, types.Double:
		return types.DoubleType
	}
	return value.Type()
}

// equal compares lists and maps by their members: what is unlike within them is unlike as a whole.
func equal(left, right ref.Val) ref.Val {
	if kind(left) != kind(right) {
		return unlike()
	}
	switch l := left.(type) {
	case traits.Lister:
		return equalLists(l, right.(traits.Lister))
	case traits.Mapper:
		return equalMaps(l, right.(traits.Mapper))
	}
	return types.Equal(left, right)
}

func unequal(left, right ref.Val) ref.Val {
	if same, ok := equal(left, right).(types.Bool); ok {
		return !same
	}
	return unlike()
}

func equalLists(left, right traits.Lister) ref.Val {
	if left.Size() != right.Size() {
		return types.False
	}
	result := types.True
	for i, j := left.Iterator(), right.Iterator(); i.HasNext() == types.True; {
		same, ok := equal(i.Next(), j.Next()).(types.Bool)
		if !ok {
			return unlike()
		}
		result = result && same
	}
	return result
}

func equalMaps(left, right traits.Mapper) ref.Val {
	if left.Size() != right.Size() {
		return types.False
	}
	result := types.True
	for i := left.Iterator(); i.HasNext() == types.True; {
		name := i.Next()
		other, found := right.Find(name)
		if !found {
			result = types.False
			continue
		}
		same, ok := equal(left.Get(name), other).(types.Bool)
		if !ok {
			return unlike()
		}
		result = result && same
	}
	return result
}

// in looks for a member of a list, or a name in a map. If it is not there and something in the
// list is of another kind, nobody knows.
func in(value, within ref.Val) ref.Val {
	switch w := within.(type) {
	case traits.Lister:
		return inList(value, w)
	case traits.Mapper:
		if _, found := w.Find(value); found {
			return types.True
		}
		if _, ok := value.(types.String); ok {
			return types.False
		}
	}
	return unlike()
}

func inList(value ref.Val, list traits.Lister) ref.Val {
	result := ref.Val(types.False)
	for i := list.Iterator(); i.HasNext() == types.True; {
		switch same := equal(value, i.Next()); {
		case same == types.True:
			return types.True
		case same != types.False:
			result = same
		}
	}
	return result
}
