package issuer

import (
	"strings"
	"testing"
)

// TestR21NamesAreFoldedInASCII as Dovecot does: what else looks or folds alike is another mailbox.
func TestR21NamesAreFoldedInASCII(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Kim@Example.COM": "kim@example.com", "\u212aim@example.com": "\u212aim@example.com", "\u0130": "\u0130", "\u00c4": "\u00c4", "[@`{": "[@`{", "": "",
	} {
		if got := lowerASCII(name); got != want {
			t.Errorf("lowerASCII(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestLabelsAreOneLineOfText(t *testing.T) {
	t.Parallel()
	for label, want := range map[string]string{
		"Printer": "Printer", "  Printer\t in\n the  hall ": "Printer in the hall", "a\u202eb\x00c\u200bd": "abcd", "\u00a0": "", "": "",
		"Drucker für Ämter": "Drucker für Ämter", "\xff": "\ufffd",
		strings.Repeat("ä", 65): strings.Repeat("ä", 64),
	} {
		if got := cleanLabel(label); got != want {
			t.Errorf("cleanLabel(%q) = %q, want %q", label, got, want)
		}
	}
}
