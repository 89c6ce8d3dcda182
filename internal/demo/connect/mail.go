package connect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-smtp"
)

// openIMAP connects and signs in (RFC 3501, section 6.2.2).
func (p *Program) openIMAP(ctx context.Context, s Service, token string) (*imapclient.Client, error) {
	auth, err := newSASLClient(s, token)
	if err != nil {
		return nil, err
	}
	conn, err := p.dial(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("connect to imap: %w", err)
	}
	client := imapclient.New(conn, nil)
	err = client.Authenticate(auth)
	if err == nil {
		return client, nil
	}
	client.Close()
	if refusal, ok := errors.AsType[*imap.Error](err); ok {
		return nil, &Refused{
			Reply:        fmt.Sprintf("%s [%s]", refusal.Type, refusal.Code),
			Detail:       auth.refusal,
			InvalidToken: refusal.Type == imap.StatusResponseTypeNo && refusal.Code == imap.ResponseCodeAuthenticationFailed,
		}
	}
	return nil, fmt.Errorf("authenticate: %w", err)
}

func closeIMAP(client *imapclient.Client) error {
	err := client.Logout().Wait()
	client.Close() // the server closes first, so that an error here says nothing
	return err
}

// findMessage reads every message of the INBOX.
func (p *Program) findMessage(ctx context.Context, s Service, token, text string) (found bool, err error) {
	client, err := p.openIMAP(ctx, s, token)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, closeIMAP(client)) }()
	selected, err := client.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		return false, fmt.Errorf("select INBOX: %w", err)
	}
	if selected.NumMessages == 0 {
		return false, nil
	}
	all := imap.SeqSet{}
	all.AddRange(1, selected.NumMessages)
	section := &imap.FetchItemBodySection{Peek: true}
	messages, err := client.Fetch(all, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil {
		return false, fmt.Errorf("fetch messages: %w", err)
	}
	for _, m := range messages {
		if bytes.Contains(m.FindBodySection(section), []byte(text)) {
			return true, nil
		}
	}
	return false, nil
}

// openSubmission connects and signs in (RFC 4954, section 4).
func (p *Program) openSubmission(ctx context.Context, s Service, token string) (*smtp.Client, error) {
	auth, err := newSASLClient(s, token)
	if err != nil {
		return nil, err
	}
	conn, err := p.dial(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("connect to submission: %w", err)
	}
	client := smtp.NewClient(conn)
	err = client.Auth(auth)
	if err == nil {
		return client, nil
	}
	client.Close()
	if refusal, ok := errors.AsType[*smtp.SMTPError](err); ok {
		return nil, &Refused{
			Reply:        strconv.Itoa(refusal.Code),
			Detail:       auth.refusal,
			InvalidToken: refusal.Code == 535, // RFC 4954, section 6
		}
	}
	return nil, fmt.Errorf("authenticate: %w", err)
}

// Submit hands a message of one line of text to a submission service.
func (p *Program) Submit(ctx context.Context, s Service, token, from, to, subject, text string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client, err := p.openSubmission(ctx, s, token)
	if err != nil {
		return err
	}
	message := "From: <" + from + ">\r\nTo: <" + to + ">\r\nSubject: " + subject + "\r\n\r\n" + text + "\r\n"
	if err := client.SendMail(from, []string{to}, strings.NewReader(message)); err != nil {
		client.Close()
		return fmt.Errorf("submit: %w", err)
	}
	return client.Quit()
}
