package upstream

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// verified is an ID token that has passed every check.
type verified struct {
	subject string
	claims  claims
}

// checkResponse compares "iss" of the authorization response with the issuer that
// the person was sent to. It must be there if the provider says that it sends
// it: otherwise another provider of the tenant could slip its code in (RFC 9207, section 2.4).
func (k *known) checkResponse(issuer, got string) error {
	if got == "" && k.metadata.ResponseIssuer {
		return rejected("check authorization response", errors.New("iss is missing"))
	}
	if got != "" && got != issuer {
		return rejected("check authorization response", errors.New("iss is not the issuer that was asked"))
	}
	return nil
}

// exchange redeems the code (RFC 6749, section 4.1.3; RFC 7636, section 4.5).
func (k *known) exchange(ctx context.Context, p Provider, r Request, code string) (*oauth2.Token, error) {
	token, err := k.config(p).Exchange(ctx, code, oauth2.VerifierOption(r.Verifier))
	if err == nil {
		return token, nil
	}
	const doing = "redeem code"
	if refusal, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return nil, refused(doing, refusal)
	}
	if unreachable(err) {
		return nil, unavailable(doing, err)
	}
	return nil, rejected(doing, err)
}

// refused keeps status and error code of a refusal and drops the rest of it:
// descriptions and bodies repeat codes and tokens.
func refused(doing string, e *oauth2.RetrieveError) error {
	status := e.Response.StatusCode
	cause := fmt.Errorf("token endpoint answered %d %s", status, errorCode(e.ErrorCode))
	answered := status/100 == 2 || status/100 == 4
	if !answered || status == http.StatusTooManyRequests {
		return unavailable(doing, cause)
	}
	return rejected(doing, cause)
}

// errorCode returns the code if it looks like one of a registry.
func errorCode(code string) string {
	const letters = "abcdefghijklmnopqrstuvwxyz_"
	if code == "" || len(code) > 40 || strings.Trim(code, letters) != "" {
		return "without a known error code"
	}
	return code
}

// verify checks the ID token of a token response
// (https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation).
// go-oidc checks signature, issuer, audience and expiry; the rest is here.
func (k *known) verify(ctx context.Context, p Provider, r Request, token *oauth2.Token, now func() time.Time) (verified, error) {
	const doing = "check ID token"
	raw, ok := token.Extra("id_token").(string)
	if !ok || raw == "" {
		return verified{}, rejected(doing, errors.New("there is none"))
	}
	keys := &watchedKeys{KeySet: k.keys}
	idToken, err := gooidc.NewVerifier(p.Issuer, keys, &gooidc.Config{
		ClientID:             p.ClientID,
		SupportedSigningAlgs: k.metadata.algorithms(),
		Now:                  now,
	}).Verify(ctx, raw)
	if unreachable(keys.err) {
		return verified{}, unavailable("fetch keys", keys.err)
	}
	if err != nil {
		return verified{}, rejected(doing, err)
	}
	var c claims
	if err := idToken.Claims(&c); err != nil {
		return verified{}, rejected(doing, err)
	}
	if err := errors.Join(
		checkSubject(idToken.Subject),
		checkNonce(idToken.Nonce, r.Nonce),
		checkParty(idToken.Audience, c, p.ClientID),
		checkAccessToken(idToken, token.AccessToken),
	); err != nil {
		return verified{}, rejected(doing, err)
	}
	return verified{subject: idToken.Subject, claims: c}, nil
}

// watchedKeys remembers why keys could not verify, because the verifier's error
// does not tell an unreachable provider from a bad signature. One for each token.
type watchedKeys struct {
	gooidc.KeySet
	err error
}

// VerifySignature implements gooidc.KeySet.
func (w *watchedKeys) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := w.KeySet.VerifySignature(ctx, jwt)
	w.err = err
	return payload, err
}

// checkSubject: the account's key depends on it, and it "MUST NOT exceed 255 ASCII characters"
// (https://openid.net/specs/openid-connect-core-1_0.html#IDToken).
func checkSubject(subject string) error {
	if subject == "" || len(subject) > 255 {
		return errors.New("sub is empty or too long")
	}
	return nil
}

// checkNonce ties the token to the browser that asked.
func checkNonce(got, want string) error {
	if subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 {
		return errors.New("nonce is not the one that was sent")
	}
	return nil
}

// checkParty: a token for several audiences must say that it was made for us, and
// one that says for whom it was made must name us.
func checkParty(audience []string, c claims, clientID string) error {
	party, named := c["azp"]
	if named && party != clientID {
		return errors.New("azp is another client")
	}
	others := slices.ContainsFunc(audience, func(a string) bool { return a != clientID })
	if others && !named {
		return errors.New("several audiences and no azp")
	}
	return nil
}

// checkAccessToken: in the code flow at_hash may be missing, never wrong
// (https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowTokenValidation).
func checkAccessToken(idToken *gooidc.IDToken, accessToken string) error {
	if idToken.AccessTokenHash == "" {
		return nil
	}
	return idToken.VerifyAccessToken(accessToken)
}

// userinfo returns the claims of the userinfo endpoint, or none if the provider
// has no such endpoint. They are about somebody else unless "sub" is the same
// (https://openid.net/specs/openid-connect-core-1_0.html#UserInfoResponse).
func (k *known) userinfo(ctx context.Context, token *oauth2.Token, subject string) (claims, error) {
	if k.metadata.UserinfoEndpoint == "" {
		return nil, nil
	}
	const doing = "ask userinfo"
	info, err := k.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if unreachable(err) {
		return nil, unavailable(doing, err)
	}
	if err != nil {
		return nil, rejected(doing, err)
	}
	if info.Subject != subject {
		return nil, rejected(doing, errors.New("sub is not that of the ID token"))
	}
	var c claims
	if err := info.Claims(&c); err != nil {
		return nil, rejected(doing, err)
	}
	return c, nil
}
