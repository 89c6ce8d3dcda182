package condition

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Absent is the name under which Facts.Claims lists the kept claims that the identity provider
// was asked for and did not send. A claim that is neither there nor listed is not known: it was
// too large or too strange to be kept, is somewhere else, or was not kept when the person signed
// in. No claim that is kept has this name, for it has a space in it.
const Absent = "not sent"

// ours are the claims that do not come from keep_claims. Where they are not there, there are none.
var ours = [...]string{"acr", "amr", "auth_time", "address", "domain", "login"}

// known reports whether it is known that there is a claim, or that there is none.
func (f Facts) known(name string) bool {
	if _, found := f.Claims[name]; found || slices.Contains(ours[:], name) {
		return true
	}
	absent, _ := f.Claims[Absent].([]any)
	return slices.Contains(absent, any(name))
}

// Exact returns a value that was decoded from JSON with its numbers as they are written: a whole
// number as int64, another one as float64. It is false of a value with a number that neither has
// exactly: conditions would take it for its neighbour.
func Exact(value any) (any, bool) {
	switch v := value.(type) {
	case json.Number:
		return exactNumber(v.String())
	case []any:
		list := make([]any, len(v))
		for i, member := range v {
			exact, ok := Exact(member)
			if !ok {
				return nil, false
			}
			list[i] = exact
		}
		return list, true
	case map[string]any:
		members := make(map[string]any, len(v))
		for name, member := range v {
			exact, ok := Exact(member)
			if !ok {
				return nil, false
			}
			members[name] = exact
		}
		return members, true
	}
	return value, true
}

func exactNumber(text string) (any, bool) {
	d, ok := decimalOf(text)
	if !ok {
		return nil, false
	}
	if whole, ok := d.whole(); ok {
		return whole, true
	}
	float, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(float, 0) {
		return nil, false
	}
	if again, _ := decimalOf(strconv.FormatFloat(float, 'e', -1, 64)); again != d {
		return nil, false
	}
	return float, true
}

// decimal is a number as it is written, in one of the many ways to write it: its digits, without
// zeros around them, times a power of ten.
type decimal struct {
	negative bool
	digits   string
	exponent int
}

// maxExponent is more than any float64 has.
const maxExponent = 1000

func decimalOf(text string) (decimal, bool) {
	unsigned, negative := strings.CutPrefix(text, "-")
	mantissa, power, scaled := strings.Cut(strings.ToLower(unsigned), "e")
	exponent := 0
	if scaled {
		var err error
		if exponent, err = strconv.Atoi(power); err != nil || exponent > maxExponent || exponent < -maxExponent {
			return decimal{}, false
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	short := strings.TrimRight(digits, "0")
	if short == "" {
		return decimal{}, true // zero has no sign
	}
	return decimal{negative, short, exponent - len(fraction) + len(digits) - len(short)}, true
}

// whole returns the number if it has no fraction and fits.
func (d decimal) whole() (int64, bool) {
	const mostDigits = 19 // of an int64
	if d.digits == "" {
		return 0, true
	}
	if d.exponent < 0 || len(d.digits)+d.exponent > mostDigits {
		return 0, false
	}
	sign := ""
	if d.negative {
		sign = "-"
	}
	n, err := strconv.ParseInt(sign+d.digits+strings.Repeat("0", d.exponent), 10, 64)
	return n, err == nil
}
