package groupware

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Message is a message that submission took.
type Message struct {
	From string
	To   []string
	Data []byte
}

// Spool keeps what was submitted, in memory. The zero Spool is empty.
type Spool struct {
	mu       sync.Mutex
	messages []Message
}

func (s *Spool) add(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
}

// Find returns the first message that contains the text.
func (s *Spool) Find(text string) (Message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		if bytes.Contains(m.Data, []byte(text)) {
			return m, true
		}
	}
	return Message{}, false
}

// Submission is a submission server (RFC 6409, section 3) that signs people in by token
// alone and delivers to the mailboxes it knows. It relays nothing.
type Submission struct {
	Check     *Check
	Mailboxes *Mailboxes
	Spool     *Spool
	Logger    *slog.Logger
}

// Serve answers on the listener until ctx ends. It has no TLS and so belongs on
// a loopback address.
func (s *Submission) Serve(ctx context.Context, listener net.Listener) error {
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &submissionSession{server: s, ctx: ctx, port: portOf(listener)}, nil
	}))
	server.Domain = s.Check.Audience
	server.AllowInsecureAuth = true
	server.MaxLineLength = 8 << 10 // a token stands in the AUTH line
	server.MaxMessageBytes = 1 << 20
	server.MaxRecipients = 50
	server.ReadTimeout = time.Minute
	server.WriteTimeout = time.Minute
	server.ErrorLog = logPrinter{s.Logger}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, smtp.ErrServerClosed) && ctx.Err() == nil {
		return fmt.Errorf("serve submission: %w", err)
	}
	return nil
}

type submissionSession struct {
	server *Submission
	ctx    context.Context // of the server: the library gives a session none
	port   string
	login  string // empty until somebody signed in
	from   string
	to     []string
}

// AuthMechanisms returns what is announced as AUTH.
func (*submissionSession) AuthMechanisms() []string {
	return []string{mechanismOAuthBearer, mechanismXOAuth2}
}

// Auth begins a SASL exchange.
func (s *submissionSession) Auth(mechanism string) (sasl.Server, error) {
	auth := bearerAuth{
		login:       s.signIn,
		failed:      smtp.ErrAuthFailed,
		unavailable: &smtp.SMTPError{Code: 454, EnhancedCode: smtp.EnhancedCode{4, 7, 0}, Message: "Try again later"},
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
	return nil, smtp.ErrAuthUnknownMechanism
}

func (s *submissionSession) signIn(user, token string) error {
	login, err := s.server.Check.LoginAs(s.ctx, user, token)
	if err != nil {
		s.server.Logger.InfoContext(s.ctx, "token refused", "audience", s.server.Check.Audience, "reason", err)
		return err
	}
	if s.server.Mailboxes.user(login) == nil {
		return fmt.Errorf("%w: for somebody without a mailbox", ErrInvalidToken)
	}
	s.login = login
	return nil
}

// Mail begins a message. People send in their own name only (RFC 6409, section 6.1).
func (s *submissionSession) Mail(from string, _ *smtp.MailOptions) error {
	if s.login == "" {
		return smtp.ErrAuthRequired
	}
	if from != s.login {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Send from your own address"}
	}
	s.from = from
	return nil
}

// Rcpt adds a recipient.
func (s *submissionSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if s.server.Mailboxes.user(to) == nil {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "The demo delivers to its own people only"}
	}
	s.to = append(s.to, to)
	return nil
}

// Data delivers the message to each recipient and keeps it in the spool.
func (s *submissionSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	for _, to := range s.to {
		if _, err := s.server.Mailboxes.Deliver(to, data); err != nil {
			return fmt.Errorf("deliver: %w", err)
		}
	}
	s.server.Spool.add(Message{From: s.from, To: slices.Clone(s.to), Data: data})
	return nil
}

// Reset forgets the message that was begun.
func (s *submissionSession) Reset() { s.from, s.to = "", nil }

// Logout ends the session.
func (*submissionSession) Logout() error { return nil }
