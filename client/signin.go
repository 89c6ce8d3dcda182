package client

import (
	"context"
	"fmt"
)

// SignIn is Authorize, Loopback and Redeem in one. It calls show with the address
// of the sign-in page, which should open it in the system browser and return; then
// it waits for the answer until ctx ends. An empty scope means d.Scope, an empty
// login hint is left out.
func (c *Client) SignIn(ctx context.Context, d Discovery, scope, loginHint string, show func(url string) error) (Tokens, error) {
	loopback, err := Listen(ctx)
	if err != nil {
		return Tokens{}, err
	}
	defer loopback.Close()
	a, err := c.Authorize(d, loopback.RedirectURI(), scope, loginHint)
	if err != nil {
		return Tokens{}, err
	}
	if err := show(a.URL); err != nil {
		return Tokens{}, fmt.Errorf("show the sign-in page: %w", err)
	}
	answer, err := loopback.Wait(ctx, a.State)
	if err != nil {
		return Tokens{}, err
	}
	return c.Redeem(ctx, d, a, answer)
}
