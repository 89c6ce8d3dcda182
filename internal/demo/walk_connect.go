package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"signpost/internal/demo/connect"
)

// connect uses each service, and then tries what has to be refused.
func (w *walk) connect(ctx context.Context) error {
	for i := range w.found {
		s := &w.found[i]
		if s.token.AccessToken == "" {
			continue // the exchange failed and is named already
		}
		if err := w.use(ctx, s); err != nil {
			w.fail("connect: %s: %v", s.ID, err)
			continue
		}
		w.report.ServicesConnected++
	}
	for i := range w.found {
		if w.found[i].token.AccessToken != "" {
			w.refusals(ctx, &w.found[i])
		}
	}
	return nil
}

// use reads back what was put into the service at the start. What is submitted
// is read back from the INBOX.
func (w *walk) use(ctx context.Context, s *found) error {
	target, err := s.target(0)
	if err != nil {
		return err
	}
	token, marker := s.token.AccessToken, s.known.marker
	if s.Protocol == connect.Submission {
		return w.submit(ctx, s, target)
	}
	return w.try("connect "+s.ID, request(target, "read"), func() (string, error) {
		there, err := w.program.Find(ctx, target, token, marker)
		if err == nil && !there {
			err = errors.New("what was put there at the start was not found")
		}
		return "the random marker is there", err
	})
}

// submit sends a message to the person's own address and looks for it there.
func (w *walk) submit(ctx context.Context, s *found, target connect.Service) error {
	marker := newMarker()
	err := w.try("connect "+s.ID, request(target, "send"), func() (string, error) {
		return "accepted", w.program.Submit(ctx, target, s.token.AccessToken, w.person.Address, w.person.Address, "Sent by the walk", marker)
	})
	if err != nil {
		return err
	}
	for i := range w.found {
		inbox := &w.found[i]
		if inbox.Protocol != connect.IMAP {
			continue
		}
		target, err := inbox.target(0)
		if err != nil {
			return err
		}
		return w.try("delivered "+s.ID, request(target, "look for it"), func() (string, error) {
			there, err := w.program.Find(ctx, target, inbox.token.AccessToken, marker)
			if m, spooled := w.World.spool.Find(marker); err == nil && (!there || !spooled || m.From != w.person.Address) {
				err = errors.New("the submitted message did not arrive")
			}
			return "the message arrived", err
		})
	}
	return errors.New("there is no mailbox to look for the submitted message in")
}

// refusals tries, at one service, the token of a neighbour and a token for each
// thing that can be wrong with one.
func (w *walk) refusals(ctx context.Context, s *found) {
	neighbour := w.neighbour(s)
	if neighbour == nil {
		w.fail("%s: there is no neighbour whose token could be tried", s.ID)
		return
	}
	if err := w.refuseNeighbour(ctx, s, neighbour); err != nil {
		w.fail("%s: audience: %v", s.ID, err)
	} else {
		w.report.NeighbourTokensRefused++
	}
	for _, f := range flawsOf(w.World.issuer(tenantOther), neighbour.Audience, w.Now()) {
		bad, err := f.spoil(ctx, w.Forge, s.token.AccessToken)
		if err != nil {
			w.fail("%s: %s: forge a token: %v", s.ID, f.check, err)
			continue
		}
		if err := w.refuse(ctx, s, "token with a wrong "+f.check, bad, f.check == "scope"); err != nil {
			w.fail("%s: %s: %v", s.ID, f.check, err)
		}
	}
}

// refuseNeighbour counts only if the server answers and takes the right token
// just before and just after: a server that refuses everybody proves nothing.
func (w *walk) refuseNeighbour(ctx context.Context, s, neighbour *found) error {
	if err := w.take(ctx, s); err != nil {
		return fmt.Errorf("the right token before: %w", err)
	}
	if err := w.refuse(ctx, s, "token of "+neighbour.ID, neighbour.token.AccessToken, false); err != nil {
		return err
	}
	if err := w.take(ctx, s); err != nil {
		return fmt.Errorf("the right token after: %w", err)
	}
	return nil
}

func (w *walk) take(ctx context.Context, s *found) error {
	target, err := s.target(len(s.Authentication) - 1)
	if err != nil {
		return err
	}
	return w.try("right token "+s.ID, request(target, "its own token"), func() (string, error) {
		return "signed in", w.program.SignIn(ctx, target, s.token.AccessToken)
	})
}

// refuse wants the one refusal that says that a token is not valid here. For a
// token with too small a scope, an HTTP service says insufficient_scope instead
// (RFC 6750, section 3.1).
func (w *walk) refuse(ctx context.Context, s *found, what, token string, scope bool) error {
	target, err := s.target(0)
	if err != nil {
		return err
	}
	err = w.try(what+" "+s.ID, request(target, what), func() (string, error) {
		return "taken", w.program.SignIn(ctx, target, token)
	})
	if err == nil {
		return fmt.Errorf("a %s was taken", what)
	}
	refused, ok := errors.AsType[*connect.Refused](err)
	switch {
	case !ok:
		return fmt.Errorf("no answer to a %s: %w", what, err)
	case refused.InvalidToken, scope && refused.InsufficientScope:
		return nil
	}
	return fmt.Errorf("a %s was refused for something else: %w", what, err)
}

// neighbour returns another service, if there is one with the same scope: only
// the audience keeps their tokens apart.
func (w *walk) neighbour(s *found) *found {
	var others []*found
	for i := range w.found {
		other := &w.found[i]
		if other.ID == s.ID || other.token.AccessToken == "" {
			continue
		}
		if other.Scope == s.Scope {
			return other
		}
		others = append(others, other)
	}
	if len(others) == 0 {
		return nil
	}
	return others[len(others)-1]
}

// target is the service as the configuration document describes it, with one of
// its ways to authenticate.
func (f *found) target(way int) (connect.Service, error) {
	if len(f.Endpoints) == 0 || way < 0 || way >= len(f.Authentication) {
		return connect.Service{}, errors.New("the configuration names no endpoint or no way to authenticate")
	}
	e := f.Endpoints[0]
	return connect.Service{
		Protocol: f.Protocol, Host: e.Host, Port: e.Port, URL: e.URL,
		Username: f.Username, Mechanism: strings.ToUpper(f.Authentication[way]),
	}, nil
}

// request says what is about to be asked.
func request(s connect.Service, what string) string {
	if s.URL != "" {
		return s.Protocol + " BEARER, " + what
	}
	return s.Protocol + " " + s.Mechanism + ", " + what
}
