package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"signpost/internal/demo/browse"
	"signpost/internal/demo/idp"
	"signpost/oidc"
)

// session is somebody's sign-in with the program.
type session struct {
	broad   subject
	refresh string
}

// subject is a broad token and whose it is.
type subject struct{ token, person string }

// tokenAnswer is what the token endpoint answers.
type tokenAnswer struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int64  `json:"expires_in"`
	Scope           string `json:"scope"`
	RefreshToken    string `json:"refresh_token"`
	Error           string `json:"error"`
	Description     string `json:"error_description"`
}

// token posts a form to the token endpoint.
func (o *organisation) token(ctx context.Context, form url.Values) (a tokenAnswer, err error) {
	form.Set("client_id", client)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.base+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		return a, fmt.Errorf("token: status %d: %w", res.StatusCode, err)
	}
	if res.StatusCode != http.StatusOK || a.AccessToken == "" {
		return a, fmt.Errorf("token: status %d: %s: %s", res.StatusCode, a.Error, a.Description)
	}
	return a, nil
}

// everything is the scope that the program asks for.
func everything() string {
	all := []string{"openid", "offline_access"}
	for _, p := range places() {
		if !slices.Contains(all, p.scope) {
			all = append(all, p.scope)
		}
	}
	return strings.Join(all, " ")
}

// signIn signs somebody in as a person would, with a browser of their own.
func (o *organisation) signIn(ctx context.Context, who idp.Person) (session, error) {
	verifier := rand.Text() + rand.Text()
	code, err := o.authorize(ctx, who, verifier)
	if err != nil {
		return session{}, fmt.Errorf("sign in: %w", err)
	}
	a, err := o.token(ctx, url.Values{
		"grant_type": {oidc.GrantTypeAuthorizationCode}, "redirect_uri": {o.redirect}, "code": {code}, "code_verifier": {verifier},
	})
	if err != nil {
		return session{}, err
	}
	s := session{refresh: a.RefreshToken}
	s.broad, err = newSubject(a.AccessToken)
	return s, err
}

// authorize goes through the pages and returns the code.
func (o *organisation) authorize(ctx context.Context, who idp.Person, verifier string) (string, error) {
	b, err := browse.New(http.DefaultTransport, patience)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(verifier))
	if err := b.Open(ctx, o.base+"/authorize?"+url.Values{
		"client_id": {client}, "redirect_uri": {o.redirect}, "response_type": {"code"}, "scope": {everything()}, "state": {"x"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode()); err != nil {
		return "", err
	}
	if err := b.Follow(ctx, "choice"); err != nil {
		return "", err
	}
	login, err := b.FormWith("password")
	if err != nil {
		return "", err
	}
	login.Values.Set("username", who.Username)
	login.Values.Set("password", who.Password)
	if err := b.Submit(ctx, login); err != nil {
		return "", err
	}
	consent, err := b.FormWith("ticket")
	if err != nil {
		return "", err
	}
	consent.Values.Set("decision", "allow")
	if err := b.Submit(ctx, consent); err != nil {
		return "", err
	}
	code := b.URL.Query().Get("code")
	if code == "" {
		return "", fmt.Errorf("no code at the end: %s", b.URL.Query().Get("error"))
	}
	return code, nil
}

// newSubject reads of a token whose it is.
func newSubject(token string) (subject, error) {
	var claims struct {
		Subject string `json:"sub"`
	}
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil || claims.Subject == "" {
		return subject{}, fmt.Errorf("the broad token is no JWT with a person in it: %w", err)
	}
	return subject{token, claims.Subject}, nil
}

// signInsEach is how many sign-ins each person has.
const signInsEach = 4

// signAllIn signs everybody in.
func (o *organisation) signAllIn(ctx context.Context) (all []session, err error) {
	for _, who := range o.passwords {
		for range signInsEach {
			s, err := o.signIn(ctx, who)
			if err != nil {
				return nil, err
			}
			all = append(all, s)
		}
	}
	return all, nil
}

// refreshed makes broad tokens: each sign-in refreshes, again and again, until there are enough.
func (o *organisation) refreshed(ctx context.Context, sessions []session, enough int) ([]subject, error) {
	var (
		all    sync.WaitGroup
		begun  atomic.Int64
		errs   = make(chan error, len(sessions))
		chains = make([][]subject, len(sessions))
	)
	for n, s := range sessions {
		all.Go(func() {
			for begun.Add(1) <= int64(enough) {
				a, err := o.token(ctx, url.Values{"grant_type": {oidc.GrantTypeRefreshToken}, "refresh_token": {s.refresh}})
				if err != nil {
					errs <- err
					return
				}
				s.refresh = a.RefreshToken
				chains[n] = append(chains[n], subject{a.AccessToken, s.broad.person})
			}
		})
	}
	all.Wait()
	close(errs)
	return slices.Concat(chains...), <-errs
}
