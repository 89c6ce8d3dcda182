package web

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Account is the person's own page: which programs have access, which app passwords there are, an
// end to each, and a way to make an app password. Its forms post "token" to Action with "grant" or
// "app_password", the one to end, or with "decision".
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

	AppPasswords []AppPassword
	Offers       []Offer       // what a new one may be for; none if there is nothing
	Once         string        // opaque; comes back with the form that makes one, which is taken once
	SignInAgain  string        // where to sign in again before making one: https, http or a path; empty if that is not needed
	Made         *MadePassword // a new one, on this page alone
	NotMade      string        // why none was made: a word of the list below, or empty
}

// AppPassword is one that lives.
type AppPassword struct {
	ID       string
	Label    string   // what the person or the program calls it; may be empty
	Services []string // titles
	Since    time.Time
	LastUsed time.Time // zero if never
}

// Offer is what an app password may be for. The form posts its Value as "service", and
// with all of them "label", "once" and DecisionMake.
type Offer struct {
	Value    string
	Services []string // titles
	Username string   // login name there
}

// MadePassword is an app password as the person writes it into a program.
type MadePassword struct {
	Password string
	Username string
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
	DecisionMake    = "make"
)

// Why no app password was made.
const (
	NotMadeChoose  = "choose"  // nothing was chosen that it is for
	NotMadeLogins  = "logins"  // what was chosen has more than one login name
	NotMadeAgain   = "again"   // the person has to sign in again
	NotMadeRefused = "refused" // anything else

	NotMadeRepeated = "repeated" // the form came before, and made one
)

// What was ended.
const (
	EndedOne     = "one"
	EndedAll     = "all"
	EndedNothing = "nothing" // it had ended already

	EndedAppPassword = "app-password"
)

// Account writes the person's own page.
func (p *Pages) Account(w io.Writer, lang string, v Account) error {
	if _, ok := p.words[fallback]["account.not_made."+v.NotMade]; v.NotMade != "" && !ok {
		v.NotMade = NotMadeRefused
	}
	return p.write(w, "account", frame{Lang: lang, Organisation: v.Organisation, Help: v.Organisation.Help, View: v})
}

// day writes a date in whole days of UTC.
func (w words) day(t time.Time) (string, error) {
	year, month, day := t.UTC().Date()
	return w.say(fmt.Sprintf("date.%d", month), "day", strconv.Itoa(day), "year", strconv.Itoa(year))
}

// services lists what a password is for.
func (w words) services(titles []string) string {
	shown := make([]string, len(titles))
	for i, title := range titles {
		shown[i] = plain(title)
	}
	return strings.Join(shown, ", ")
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
