package upstream

import (
	"encoding/json"
	"strings"
)

// Bounds of the claims that are kept of a person for conditions.
const (
	maxKept      = 16
	maxKeptBytes = 8 << 10 // as JSON, all together
)

// kept returns the claims of an ID token that the tenant keeps. Userinfo is not asked: what
// decides about access is signed. A claim that cannot be kept is left out, and conditions that
// ask for it say no; if all together are too much, none is kept, because conditions could take a
// part for the whole.
func (p Provider) kept(c claims) map[string]any {
	out := make(map[string]any)
	for _, name := range p.KeepClaims {
		if value, found := c[name]; found && keepable(value) {
			out[name] = value
		}
	}
	if len(out) == 0 || len(out) > maxKept {
		return nil
	}
	if size, err := json.Marshal(out); err != nil || len(size) > maxKeptBytes {
		return nil
	}
	return out
}

// keepable reports whether a value is a string, number or truth value, or a list or map of
// such. Databases do not take the character NUL, and nothing (null) is not a value.
func keepable(value any) bool {
	switch v := value.(type) {
	case bool, float64:
		return true
	case string:
		return !strings.ContainsRune(v, 0)
	case []any:
		for _, member := range v {
			if !keepable(member) {
				return false
			}
		}
		return true
	case map[string]any:
		for name, member := range v {
			if strings.ContainsRune(name, 0) || !keepable(member) {
				return false
			}
		}
		return true
	}
	return false
}
