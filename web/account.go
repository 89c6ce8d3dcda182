package web

import (
	"fmt"
	"io"
	"strconv"
	"time"
)

// Account is the person's own page: which programs have access, and an end to each. Its
// form posts "token" to Action with "grant", the one to end, or with "decision".
type Account struct {
	Organisation Organisation
	Provider     string // title of the identity provider
	Person       string // display name; may be empty
	Address      string // primary address
	Programs     []Program
	Ended        string // what was ended a moment ago: a word of the list below, or empty
	EndedProgram Asker  // with EndedOne
	Action       string // https, http or a path; anything else posts to the page's own address
	Token        string // opaque; binds the forms to this session
}

// Program is one that has access.
type Program struct {
	Grant       string // id
	Asker       Asker  // Redirect and Device are not looked at
	Permissions []Permission
	Offline     bool // access lasts until somebody ends it
	Since       time.Time
	LastUsed    time.Time
}

// Values of the field "decision" of the person's own page.
const (
	DecisionEndAll  = "end-all"
	DecisionSignOut = "sign-out"
)

// What was ended.
const (
	EndedOne     = "one"
	EndedAll     = "all"
	EndedNothing = "nothing" // it had ended already
)

// Account writes the person's own page.
func (p *Pages) Account(w io.Writer, lang string, v Account) error {
	return p.write(w, "account", frame{Lang: lang, Organisation: v.Organisation, Help: v.Organisation.Help, View: v})
}

// day writes a date in whole days of UTC.
func (w words) day(t time.Time) (string, error) {
	year, month, day := t.UTC().Date()
	return w.say(fmt.Sprintf("date.%d", month), "day", strconv.Itoa(day), "year", strconv.Itoa(year))
}

// program names a program in a list: as what it says it is, unless it has proved that.
func (w words) program(a Asker) (string, error) {
	if a.Kind == AskerGone {
		return w.say("account.program.gone")
	}
	kind := known(a)
	if kind == AskerProved {
		return plain(a.Name), nil
	}
	return w.say("account.program."+kind, "name", a.Name)
}
