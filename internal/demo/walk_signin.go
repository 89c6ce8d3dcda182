package demo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"signpost/client"
)

// signIn goes through the browser: Signpost's page, the identity provider's form,
// Signpost's consent, and back to the program.
func (w *walk) signIn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	answers, err := client.Listen(ctx)
	if err != nil {
		return err
	}
	defer answers.Close()
	authorization, err := w.client.Authorize(w.discovery, answers.RedirectURI(), "", w.person.Address)
	if err != nil {
		return err
	}
	if err := w.browse(ctx, authorization.URL); err != nil {
		return err
	}
	answer, err := answers.Wait(ctx, authorization.State)
	if err != nil {
		return err
	}
	w.broad, err = w.client.Redeem(ctx, w.discovery, authorization, answer)
	if err != nil {
		return err
	}
	w.print.note("one broad token for %d s, %d scopes granted", w.broad.ExpiresIn, len(strings.Fields(w.broad.Scope)))
	if lacks := missing(w.broad.Scope, w.discovery.Scope); len(lacks) > 0 {
		return fmt.Errorf("not granted: %s", strings.Join(lacks, " "))
	}
	if w.broad.RefreshToken == "" {
		return errors.New("no refresh token, though offline_access was asked for")
	}
	return nil
}

// browse does what the person does. The password goes into a form of an identity
// provider and nowhere else.
func (w *walk) browse(ctx context.Context, start string) error {
	b, err := newBrowser(w.tracer())
	if err != nil {
		return err
	}
	if err := b.open(ctx, start); err != nil {
		return fmt.Errorf("the page before the identity provider: %w", err)
	}
	if err := b.follow(ctx, "choice"); err != nil {
		return err
	}
	f, err := b.formWith("password")
	if err != nil {
		return err
	}
	if !w.World.isIdentityProvider(f.action) {
		return fmt.Errorf("a page of %s asks for a password", f.action.Host)
	}
	f.values.Set("username", w.person.Username)
	f.values.Set("password", w.person.Password)
	if err := b.submit(ctx, f); err != nil {
		return fmt.Errorf("sign in at the identity provider: %w", err)
	}
	consent, err := b.formWith("ticket")
	if err != nil {
		return err
	}
	if !b.hasButton("decision", "allow") {
		return errors.New("the consent page has no button to allow it")
	}
	consent.values.Set("decision", "allow")
	if err := b.submit(ctx, consent); err != nil {
		return fmt.Errorf("consent: %w", err)
	}
	return nil
}

func (w *World) isIdentityProvider(u *url.URL) bool {
	for _, p := range w.idps {
		if u.Scheme+"://"+u.Host == p.issuer {
			return true
		}
	}
	return false
}
