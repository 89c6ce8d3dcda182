package groupware

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/emersion/go-sasl"
)

const inbox = "INBOX"

// Mailboxes are the mailboxes of the people a mail server knows, in memory.
type Mailboxes struct {
	mu    sync.Mutex
	users map[string]*imapmemserver.User
}

// NewMailboxes makes an empty INBOX for each login name.
func NewMailboxes(logins ...string) (*Mailboxes, error) {
	m := &Mailboxes{users: make(map[string]*imapmemserver.User)}
	for _, login := range logins {
		// The password is never asked for: mailSession refuses LOGIN.
		user := imapmemserver.NewUser(login, "")
		for _, name := range []string{inbox, "Sent", "Drafts"} {
			if err := user.Create(name, nil); err != nil {
				return nil, fmt.Errorf("create mailbox %q: %w", name, err)
			}
		}
		m.users[login] = user
	}
	return m, nil
}

// Deliver puts a message into the INBOX of a login name. It returns false if
// nobody has that name.
func (m *Mailboxes) Deliver(login string, message []byte) (bool, error) {
	user := m.user(login)
	if user == nil {
		return false, nil
	}
	if _, err := user.Append(inbox, bytes.NewReader(message), &imap.AppendOptions{}); err != nil {
		return true, fmt.Errorf("append to %s: %w", inbox, err)
	}
	return true, nil
}

func (m *Mailboxes) user(login string) *imapmemserver.User {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.users[login]
}

// IMAP is a mail server (RFC 3501, section 6) that signs people in by token alone.
type IMAP struct {
	Check     *Check
	Mailboxes *Mailboxes
	Logger    *slog.Logger
}

// Serve answers on the listener until ctx ends. It has no TLS and so belongs on
// a loopback address.
func (s *IMAP) Serve(ctx context.Context, listener net.Listener) error {
	server := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &mailSession{server: s, ctx: ctx, port: portOf(listener)}, nil, nil
		},
		Logger:       logPrinter{s.Logger},
		InsecureAuth: true,
	})
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve imap: %w", err)
	}
	return nil
}

// mailSession is a connection; its UserSession is nil until somebody signed in.
type mailSession struct {
	*imapmemserver.UserSession
	server *IMAP
	ctx    context.Context // of the server: the library gives a session none
	port   string
}

// Login refuses every password.
func (*mailSession) Login(string, string) error { return imapserver.ErrAuthFailed }

// AuthenticateMechanisms returns what is announced as AUTH=.
func (*mailSession) AuthenticateMechanisms() []string {
	return []string{mechanismOAuthBearer, mechanismXOAuth2}
}

// Authenticate begins a SASL exchange.
func (s *mailSession) Authenticate(mechanism string) (sasl.Server, error) {
	auth := bearerAuth{
		login:       s.signIn,
		failed:      imapserver.ErrAuthFailed,
		unavailable: &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeUnavailable, Text: "Try again later"},
		scope:       s.server.Check.Scope,
		issuer:      s.server.Check.Issuer,
		hosts:       loopbackNames,
		port:        s.port,
	}
	switch mechanism {
	case mechanismOAuthBearer:
		return &oauthBearer{auth: auth}, nil
	case mechanismXOAuth2:
		return &xoauth2{auth: auth}, nil
	}
	return nil, &imap.Error{Type: imap.StatusResponseTypeNo, Text: "Use OAUTHBEARER or XOAUTH2"}
}

func (s *mailSession) signIn(user, token string) error {
	login, err := s.server.Check.LoginAs(s.ctx, user, token)
	if err != nil {
		s.server.Logger.InfoContext(s.ctx, "token refused", "audience", s.server.Check.Audience, "reason", err)
		return err
	}
	mailboxes := s.server.Mailboxes.user(login)
	if mailboxes == nil {
		return fmt.Errorf("%w: for somebody without a mailbox", ErrInvalidToken)
	}
	s.UserSession = imapmemserver.NewUserSession(mailboxes)
	return nil
}
