package scopes

// Scope is a word of the catalogue. It is data: the built-in ones are embedded
// JSON, a tenant may replace or add to them.
type Scope struct {
	Name     string            `json:"name"`               // the word itself
	Opens    []string          `json:"opens,omitempty"`    // protocols it opens: "imap", "caldav"
	Includes []string          `json:"includes,omitempty"` // narrower scopes that it covers
	Broad    bool              `json:"broad,omitempty"`    // member of the set that opens everything
	Title    map[string]string `json:"title"`              // by language tag, "en" always: a few words
	Text     map[string]string `json:"text"`               // by language tag, "en" always: what the person allows, one sentence
}
