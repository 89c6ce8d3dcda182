package oracle

import "slices"

// opened returns every word that the words open: they themselves and what they
// include, found by walking until nothing more is found.
func (t Tenant) opened(words []string) map[string]bool {
	all := map[string]bool{}
	for _, w := range words {
		all[w] = true
	}
	for found := true; found; {
		found = false
		for w := range all {
			for _, included := range t.Includes[w] {
				if !all[included] {
					all[included], found = true, true
				}
			}
		}
	}
	return all
}

// within reports whether the others open everything that the words open.
func (t Tenant) within(words, others []string) bool {
	outer := t.opened(others)
	for w := range t.opened(words) {
		if !outer[w] {
			return false
		}
	}
	return true
}

// meet reports whether one word at least is opened by both.
func (t Tenant) meet(words, others []string) bool {
	outer := t.opened(others)
	for w := range t.opened(words) {
		if outer[w] {
			return true
		}
	}
	return false
}

// Opens reports whether the words open anything of the service with this audience.
func (t Tenant) Opens(words []string, audience string) bool {
	for _, s := range t.Services {
		if s.Audience == audience && t.meet(words, s.Scopes) {
			return true
		}
	}
	return false
}

func sameWords(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
