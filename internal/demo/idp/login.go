package idp

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"html/template"
	"net/http"
	"strconv"
)

const (
	loginPath = "/sign-in"
	stylePath = "/style.css"
)

//go:embed login.html
var loginHTML string

//go:embed style.css
var styleCSS []byte

// loginPages show the form and take it. A form belongs to one authorization
// request and one browser: its token and the browser's cookie were made when the
// form was shown, and both have to come back.
type loginPages struct {
	config   Config
	storage  *storage
	redirect string // origin to which the browser goes on
	callback func(id string) string
	signedIn func()
}

// loginTemplate panics at start if the embedded page is broken.
var loginTemplate = template.Must(template.New("login").Parse(loginHTML))

type loginView struct {
	Title    string
	Host     string // of the provider, so that people see whose page it is
	Action   string
	Request  string
	Token    string
	Username string
	Problem  string
	Form     bool
}

func (l *loginPages) home(w http.ResponseWriter, r *http.Request) {
	l.render(w, http.StatusOK, loginView{
		Host:    r.Host,
		Problem: "This is an identity provider of the Signpost demo. It shows its sign-in page when a sign-in begins at Signpost.",
	})
}

func (l *loginPages) show(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("request")
	token, browser := rand.Text(), rand.Text()
	request, ok := l.storage.showForm(id, token, browser)
	if !ok {
		l.expired(w, r)
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: l.cookieName(), Value: browser, Path: loginPath, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	l.render(w, http.StatusOK, l.form(r, id, token, request.loginHint, ""))
}

func (l *loginPages) submit(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		l.expired(w, r)
		return
	}
	id := r.PostForm.Get("request")
	request, ok := l.storage.pending(id)
	if !ok || !l.ownForm(r, request) {
		l.expired(w, r)
		return
	}
	name := r.PostForm.Get("username")
	somebody, ok := person(l.config.People, name, r.PostForm.Get("password"))
	if !ok {
		l.config.Logger.InfoContext(r.Context(), "sign-in refused", "provider", l.config.Name)
		problem := "User name and password do not fit together. Please try again."
		l.render(w, http.StatusForbidden, l.form(r, id, request.formToken, name, problem))
		return
	}
	if !l.storage.finish(id, somebody.Subject) {
		l.expired(w, r)
		return
	}
	l.signedIn()
	l.config.Logger.InfoContext(r.Context(), "signed in", "provider", l.config.Name)
	http.Redirect(w, r, l.callback(id), http.StatusSeeOther)
}

// ownForm reports whether the form is the one that was shown to this browser.
func (l *loginPages) ownForm(r *http.Request, request authRequest) bool {
	cookie, err := r.Cookie(l.cookieName())
	if err != nil || request.formToken == "" {
		return false
	}
	return same(r.PostForm.Get("token"), request.formToken) && same(cookie.Value, request.browser)
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func (l *loginPages) cookieName() string { return l.config.Name + "_sign_in" }

func (l *loginPages) form(r *http.Request, id, token, username, problem string) loginView {
	return loginView{
		Host: r.Host, Action: loginPath, Request: id, Token: token,
		Username: username, Problem: problem, Form: true,
	}
}

func (l *loginPages) expired(w http.ResponseWriter, r *http.Request) {
	l.render(w, http.StatusBadRequest, loginView{
		Host:    r.Host,
		Problem: "This page is too old, or it was opened in another browser. Go back to the program that sent you here and begin again.",
	})
}

func (l *loginPages) render(w http.ResponseWriter, status int, v loginView) {
	v.Title = l.config.Title
	var page bytes.Buffer
	if err := loginTemplate.Execute(&page, v); err != nil {
		l.config.Logger.Error("render sign-in page", "error", err)
		http.Error(w, "The page cannot be shown.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(page.Len()))
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	// A browser applies form-action to the redirects after the form as well.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self' "+l.redirect)
	w.WriteHeader(status)
	w.Write(page.Bytes())
}

func (l *loginPages) style(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=3600")
	w.Write(styleCSS)
}
