package directory

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// position is where something stands in a file.
type position struct{ line, column int }

// reader reads a YAML file node by node, and remembers where everything stood
// and everything that was wrong instead of stopping at the first fault.
type reader struct {
	file      string
	problems  Problems
	positions map[ref]position
	broken    map[ref]bool // fields that were there and could not be read
	env       func(string) (string, bool)
	readFile  func(string) ([]byte, error)
}

// problem notes what is wrong at a node. The message never repeats a value:
// it could be a secret.
func (r *reader) problem(at position, hint, format string, values ...any) {
	r.problems = append(r.problems, Problem{
		File: r.file, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, values...), Hint: hint,
	})
}

// root returns the top mapping of a file, or nil if there is none to go on with.
func (r *reader) root(src []byte, known ...string) *object {
	file, err := parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
		return nil
	}
	documents := slices.DeleteFunc(file.Docs, func(d *ast.DocumentNode) bool { return d.Body == nil })
	if len(documents) == 0 {
		r.problem(position{1, 1}, `start with "tenants:"`, "the file is empty")
		return nil
	}
	if len(documents) > 1 {
		r.problem(at(documents[1].Body), "put everything into one document", "a second document")
	}
	return r.object(documents[0].Body, "the file", spot{}, known...)
}

// syntax notes a fault that left no tree. Only the message of the parser is
// kept: its long form quotes the lines around the fault.
func (r *reader) syntax(err error) {
	where, message := position{}, "the file is not YAML"
	if fault, ok := errors.AsType[yaml.Error](err); ok {
		message = fault.GetMessage()
		where = tokenAt(fault.GetToken())
	}
	r.problem(where, "check indentation, quotes and brackets up to this place", "%s", message)
}

// at returns where a node begins. The token of a block mapping is its first
// colon: people look at the key before it.
func at(n ast.Node) position {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return tokenAt(m.Values[0].Key.GetToken())
	}
	return tokenAt(n.GetToken())
}

func tokenAt(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{}
	}
	return position{t.Position.Line, t.Position.Column}
}

// object is a mapping that is being read.
type object struct {
	r      *reader
	spot   spot
	values map[string]ast.Node
}

// object reads a node as a mapping that knows some keys. What is unknown, comes
// twice or is no mapping is a problem; what can be read is returned all the same.
func (r *reader) object(node ast.Node, what string, s spot, known ...string) *object {
	mapping, ok := node.(*ast.MappingNode)
	if !ok {
		r.problem(at(node), "", "%s must have keys and values, not %s", what, kindOfNode(node))
		return nil
	}
	o := &object{r: r, spot: s, values: make(map[string]ast.Node, len(mapping.Values))}
	r.mark(s, at(node))
	for _, entry := range mapping.Values {
		key, ok := keyOf(entry.Key)
		where := at(entry.Key)
		_, twice := o.values[key]
		switch {
		case !ok:
			r.problem(where, "", "a key of %s must be a word", what)
		case twice:
			r.problem(where, "keep one of them", "%s has the key %q twice", what, key)
		case known != nil && !slices.Contains(known, key):
			r.problem(where, suggest(key, known), "%s has no key %q", what, key)
		default:
			o.values[key] = entry.Value
			r.mark(s.field(key), at(entry.Value))
		}
	}
	return o
}

// mark remembers where a place stands, if it is one that a later check names.
func (r *reader) mark(s spot, where position) {
	if s.kind != "" {
		r.positions[s.ref] = where
	}
}

func keyOf(node ast.MapKeyNode) (string, bool) {
	key, ok := node.(*ast.StringNode)
	if !ok {
		return "", false
	}
	return key.Value, true
}

// has reports whether a key is there with a value.
func (o *object) has(key string) bool { return o.value(key) != nil }

// value returns the node of a key, or nil if the key is absent or has no value.
func (o *object) value(key string) ast.Node {
	node := o.values[key]
	if _, null := node.(*ast.NullNode); null {
		return nil
	}
	return node
}

// wrong notes that a value is not of the type that is wanted.
func (o *object) wrong(key, want string, node ast.Node, hint string) {
	o.r.broken[o.spot.field(key).ref] = true
	o.r.problem(at(node), hint, "%s must be %s, not %s", key, want, kindOfNode(node))
}

// text returns a string, or the fallback if the key is absent.
func (o *object) text(key, fallback string) string {
	node := o.value(key)
	if node == nil {
		return fallback
	}
	text, ok := textOf(node)
	if !ok {
		o.wrong(key, "a string", node, quoteHint(node))
	}
	return text
}

// number returns a whole number, or the fallback if the key is absent.
func (o *object) number(key string, fallback int) int {
	node := o.value(key)
	if node == nil {
		return fallback
	}
	integer, ok := node.(*ast.IntegerNode)
	if !ok {
		o.wrong(key, "a whole number", node, "")
		return fallback
	}
	n, err := strconv.Atoi(integer.Token.Value)
	if err != nil {
		o.wrong(key, "a whole number in plain digits", node, "")
	}
	return n
}

// flag returns true or false, or the fallback if the key is absent.
func (o *object) flag(key string, fallback bool) bool {
	node := o.value(key)
	if node == nil {
		return fallback
	}
	b, ok := node.(*ast.BoolNode)
	if !ok {
		o.wrong(key, "true or false", node, "")
		return fallback
	}
	return b.Value
}

// choice returns one of the known words, or the fallback if the key is absent.
func (o *object) choice(key, fallback string, known ...string) string {
	word := o.text(key, fallback)
	if word == fallback || slices.Contains(known, word) {
		return word
	}
	if ref := o.spot.field(key).ref; !o.r.broken[ref] {
		o.r.broken[ref] = true
		o.r.problem(at(o.value(key)), suggest(word, known), "%s is not one that is known", key)
	}
	return fallback
}

// duration returns a span such as "15m", or the fallback if the key is absent.
func (o *object) duration(key string, fallback time.Duration) time.Duration {
	return o.span(key, fallback, 1)
}

// span is duration for spans that are not shorter than least.
func (o *object) span(key string, fallback, least time.Duration) time.Duration {
	node := o.value(key)
	if node == nil {
		return fallback
	}
	text, _ := textOf(node)
	d, err := time.ParseDuration(text)
	if err != nil || d < least {
		o.wrong(key, "a span of time", node, `write a number with its unit, such as "15m" or "1h"`)
		return fallback
	}
	return d
}

// nodes returns the entries of a list. One that is absent has none.
func (o *object) nodes(key string) []ast.Node {
	node := o.value(key)
	if node == nil {
		return nil
	}
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		o.wrong(key, "a list", node, "start each entry with a hyphen, or put them in brackets")
		return nil
	}
	return list.Values
}

// texts returns a list of strings, or the fallback if the key is absent.
func (o *object) texts(key string, fallback []string) []string {
	if !o.has(key) {
		return fallback
	}
	var texts []string
	for _, node := range o.nodes(key) {
		text, ok := textOf(node)
		if !ok {
			o.wrong(key, "a list of strings", node, quoteHint(node))
			continue
		}
		texts = append(texts, text)
	}
	return texts
}

// translations returns texts by language tag.
func (o *object) translations(key string) map[string]string {
	node := o.value(key)
	if node == nil {
		return nil
	}
	texts := make(map[string]string)
	o.within(key, func() {
		byLanguage := o.r.object(node, key, spot{})
		if byLanguage == nil {
			return
		}
		for _, language := range slices.Sorted(maps.Keys(byLanguage.values)) {
			texts[language] = byLanguage.text(language, "")
		}
	})
	return texts
}

// within reads what lies inside the value of a key. If some of it cannot be
// read, the whole value counts as broken, so that nothing is said about it twice.
func (o *object) within(key string, read func()) {
	before := len(o.r.problems)
	read()
	if len(o.r.problems) > before {
		o.r.broken[o.spot.field(key).ref] = true
	}
}

func textOf(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

func quoteHint(node ast.Node) string {
	if _, scalar := node.(ast.ScalarNode); scalar {
		return "put it in quotes"
	}
	return ""
}

// kindOfNode says in words what a node is.
func kindOfNode(node ast.Node) string {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys and values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.NullNode:
		return "nothing"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	}
	return "an anchor, alias or tag, which are not read here"
}

// suggest returns a hint with the known word that was probably meant: one from
// which at most half of the letters differ.
func suggest(word string, known []string) string {
	best, distance := "", max(1, len(word)/2)+1
	for _, k := range known {
		if d := editDistance(word, k); d < distance {
			best, distance = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "known are " + strings.Join(known, ", ")
}

// editDistance counts the letters to insert, delete or replace to make b of a
// (Levenshtein), row by row.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
