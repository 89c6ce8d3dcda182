package narrow_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// both counts what was accepted and what was refused.
type both struct{ accepted, refused int }

// tally counts by way and rule: "exchange/scope".
type tally map[string]both

func (n tally) add(way, rule string, accepted bool) {
	b := n[way+"/"+rule]
	if accepted {
		b.accepted++
	} else {
		b.refused++
	}
	n[way+"/"+rule] = b
}

func (n tally) sum() (accepted, refused int) {
	for _, b := range n {
		accepted, refused = accepted+b.accepted, refused+b.refused
	}
	return accepted, refused
}

// of is how often a rule decided, by whatever way.
func (n tally) of(rule string) (decided int) {
	for key, b := range n {
		if _, name, _ := strings.Cut(key, "/"); name == rule {
			decided += b.accepted + b.refused
		}
	}
	return decided
}

// String is a table.
func (n tally) String() string {
	var table strings.Builder
	line := func(name string, b both) { fmt.Fprintf(&table, "  %-36s %9d %9d\n", name, b.accepted, b.refused) }
	fmt.Fprintf(&table, "  %-36s %9s %9s\n", "way/rule", "accepted", "refused")
	for _, key := range slices.Sorted(maps.Keys(n)) {
		line(key, n[key])
	}
	accepted, refused := n.sum()
	line("all", both{accepted, refused})
	return table.String()
}
