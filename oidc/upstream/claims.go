package upstream

import (
	"bytes"
	"encoding/json"
	"strings"

	"signpost/internal/condition"
)

// Bounds of the claims that are kept of a person for conditions.
const (
	maxKept      = 16
	maxKeptBytes = 8 << 10 // as JSON, all together
)

// claims are those of an ID token or of userinfo, as they came. Numbers are json.Number.
type claims map[string]any

// UnmarshalJSON keeps numbers as they are written: a float64 may be another number.
func (c *claims) UnmarshalJSON(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode((*map[string]any)(c))
}

// kept returns the claims of an ID token that the tenant keeps, and under condition.Absent those
// that the token says nothing of. Userinfo is not asked: what decides about access is signed. A
// claim that cannot be kept is neither, so that no condition takes it for one that was not sent;
// if all together are too much, none is known, because conditions could take a part for the whole.
func (p Provider) kept(c claims) map[string]any {
	out, absent := make(map[string]any), []any{}
	for _, name := range p.KeepClaims {
		if c.elsewhere(name) {
			continue
		}
		value, found := c[name]
		if !found {
			absent = append(absent, name)
			continue
		}
		if value, ok := condition.Exact(value); ok && keepable(value) {
			out[name] = value
		}
	}
	if len(out) > maxKept {
		return nil
	}
	if size, err := json.Marshal(out); err != nil || len(size) > maxKeptBytes {
		return nil
	}
	if len(absent) > 0 {
		out[condition.Absent] = absent
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// elsewhere reports whether the token says that a claim is to be fetched from somewhere else, as
// that of a person in very many groups may
// (https://openid.net/specs/openid-connect-core-1_0.html#AggregatedDistributedClaims).
func (c claims) elsewhere(name string) bool {
	names, found := c["_claim_names"]
	if _, sources := c["_claim_sources"]; !found && !sources {
		return false
	}
	list, ok := names.(map[string]any)
	_, named := list[name]
	return named || !ok
}

// keepable reports whether a value is a string, number or truth value, or a list or map of
// such. Databases do not take the character NUL, and nothing (null) is not a value.
func keepable(value any) bool {
	switch v := value.(type) {
	case bool, int64, float64:
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
