// Package web is what people see: the page before the identity provider, the
// consent after it, the pages of a device (RFC 8628, section 3.3), the person's own page, the one that
// says what went wrong, and the one at an issuer's root. It holds templates, one stylesheet and the words of every
// language, all embedded, and writes whole pages: it knows nothing of HTTP
// requests. The pages need no script, no inline style and nothing from another
// host, so that the server's Content-Security-Policy can refuse all of them.
// Consent follows rule R12 and the known risks of RFC 8252, section 8.6: a name
// that a client chose is never shown as proved.
package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"

	"golang.org/x/text/language"
)

//go:embed templates/*.html templates/tenants.yaml
var templateFiles embed.FS

// names of the page templates; each file defines "title" and "main".
var names = []string{"signin", "consent", "problem", "home", "logout", "device", "device_confirm", "device_done", "account"}

// Pages writes the pages in every language. Its methods are safe for concurrent use.
type Pages struct {
	assets    []Asset
	languages []string                      // matcher's order, "en" first
	matcher   language.Matcher              // over languages
	words     map[string]words              // by language
	templates map[string]*template.Template // by language + "/" + page
}

// New parses what is embedded. An error means that the build is at fault: a
// template that does not parse, or a language with a word too few or too many.
func New() (*Pages, error) {
	assets, err := loadAssets()
	if err != nil {
		return nil, err
	}
	all, err := loadWords(localeFiles)
	if err != nil {
		return nil, err
	}
	p := &Pages{assets: assets, words: all, templates: map[string]*template.Template{}}
	p.languages, p.matcher = languages(all)
	for _, lang := range p.languages {
		for _, name := range names {
			t, err := p.parse(lang, name)
			if err != nil {
				return nil, fmt.Errorf("web: parse page %q: %w", name, err)
			}
			p.templates[lang+"/"+name] = t
		}
	}
	return p, nil
}

func (p *Pages) parse(lang, name string) (*template.Template, error) {
	example, err := templateFiles.ReadFile("templates/tenants.yaml")
	if err != nil {
		return nil, err
	}
	funcs := template.FuncMap{
		"say":      p.words[lang].say,
		"asset":    p.assetPath,
		"example":  func() string { return string(example) },
		"plain":    plain,
		"link":     link,
		"known":    known,
		"website":  website,
		"onDevice": onDevice,
		"domains":  p.words[lang].domains,
		"ago":      p.words[lang].ago,
		"draw":     draw,
		"day":      p.words[lang].day,
		"program":  p.words[lang].program,
		"services": p.words[lang].services,
	}
	return template.New(name).Funcs(funcs).ParseFS(templateFiles,
		"templates/layout.html", "templates/parts.html", "templates/"+name+".html")
}

// frame is what the layout needs around a page.
type frame struct {
	Lang         string
	Organisation Organisation // zero where none is known
	Help         string
	View         any
}

// SignIn writes the page before the identity provider. An unknown lang is
// English, here and in the other pages; an error comes from w or is a fault of
// a template, and nothing has been written in the latter case.
func (p *Pages) SignIn(w io.Writer, lang string, v SignIn) error {
	return p.write(w, "signin", frame{Lang: lang, Organisation: v.Organisation, Help: v.Organisation.Help, View: v})
}

// Consent writes the page after the identity provider.
func (p *Pages) Consent(w io.Writer, lang string, v Consent) error {
	return p.write(w, "consent", frame{Lang: lang, Organisation: v.Organisation, Help: v.Organisation.Help, View: v})
}

// Problem writes the page that says what happened and what to do next.
func (p *Pages) Problem(w io.Writer, lang string, v Problem) error {
	v.Title = p.problemKey(v.Title)
	return p.write(w, "problem", frame{Lang: lang, Help: v.Help, View: v})
}

func (p *Pages) problemKey(key string) string {
	if _, ok := p.words[fallback]["problem."+key+".title"]; !ok {
		return ProblemInternal
	}
	return key
}

// Home writes the page at an issuer's root.
func (p *Pages) Home(w io.Writer, lang string, v Home) error {
	return p.write(w, "home", frame{Lang: lang, Organisation: v.Organisation, Help: v.Organisation.Help, View: v})
}

// Logout writes the page that asks whether to end the session, or says that it has ended.
func (p *Pages) Logout(w io.Writer, lang string, v Logout) error {
	return p.write(w, "logout", frame{Lang: lang, Organisation: v.Organisation, Help: v.Organisation.Help, View: v})
}

// write renders into memory first: half a consent page must never be shown.
func (p *Pages) write(w io.Writer, name string, f frame) error {
	if _, ok := p.words[f.Lang]; !ok {
		f.Lang = fallback
	}
	var page bytes.Buffer
	if err := p.templates[f.Lang+"/"+name].ExecuteTemplate(&page, "layout", f); err != nil {
		return fmt.Errorf("web: write page %q: %w", name, err)
	}
	_, err := page.WriteTo(w)
	return err
}
