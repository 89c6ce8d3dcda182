package clients

import (
	"strings"
	"unicode"
)

const (
	// maxName bounds the name of a client in characters: one line of a page.
	maxName = 60
	// maxMarks bounds the marks above and below a letter. Languages need two; more reach into other lines.
	maxMarks = 2
)

// cleanName makes one line of a name that a stranger chose: no control characters,
// nothing that turns the direction of writing or cannot be seen, no towers of marks, not too
// long. What is empty then is no name.
func cleanName(name string) string {
	marks := maxMarks // a mark needs a letter before it
	name = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			marks = maxMarks
			return ' '
		case !unicode.IsPrint(r) || unseen(r) || unicode.Is(unicode.Quotation_Mark, r) && r != '\'' && r != '’':
			return -1 // pages put names in quotation marks, which a name must not close
		case !unicode.In(r, unicode.Mn, unicode.Me):
			marks = 0
			return r
		case marks < maxMarks:
			marks++
			return r
		}
		return -1
	}, name)
	name = strings.Join(strings.Fields(name), " ")
	if runes := []rune(name); len(runes) > maxName {
		name = strings.TrimSpace(string(runes[:maxName]))
	}
	return name
}

// unseen tells characters that count as printable and show nothing: fillers and
// selectors (https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point), and the
// pattern of Braille without a dot.
func unseen(r rune) bool {
	return r == '\u2800' || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}
