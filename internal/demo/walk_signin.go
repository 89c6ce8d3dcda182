package demo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"signpost/client"
	"signpost/internal/demo/browse"
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
	b, err := browse.New(w.tracer(), patience)
	if err != nil {
		return err
	}
	if err := b.Open(ctx, start); err != nil {
		return fmt.Errorf("the page before the identity provider: %w", err)
	}
	if err := b.Follow(ctx, "choice"); err != nil {
		return err
	}
	f, err := b.FormWith("password")
	if err != nil {
		return err
	}
	if !w.World.isIdentityProvider(f.Action) {
		return fmt.Errorf("a page of %s asks for a password", f.Action.Host)
	}
	f.Values.Set("username", w.person.Username)
	f.Values.Set("password", w.person.Password)
	if err := b.Submit(ctx, f); err != nil {
		return fmt.Errorf("sign in at the identity provider: %w", err)
	}
	consent, err := b.FormWith("ticket")
	if err != nil {
		return err
	}
	if !b.HasButton("decision", "allow") {
		return errors.New("the consent page has no button to allow it")
	}
	consent.Values.Set("decision", "allow")
	if err := b.Submit(ctx, consent); err != nil {
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
