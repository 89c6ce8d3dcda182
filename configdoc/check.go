package configdoc

import (
	"errors"
	"fmt"
	"net/url"
)

// ErrInvalid means that a document breaks its schema. A client tells the person
// that the provider's configuration cannot be used; a server answers
// server_error and logs the cause.
var ErrInvalid = errors.New("configdoc: invalid document")

// check refuses what the schema refuses. Its errors name services by id and
// never repeat a value that could be about the person.
func (d Document) check() error {
	switch {
	case d.Account.Subject == "":
		return invalid("account has no subject")
	case d.Issuer == "":
		return invalid("no issuer")
	case d.TokenEndpoint == "":
		return invalid("no token endpoint")
	}
	seen := make(map[string]bool)
	for _, service := range d.Services() {
		if err := service.check(); err != nil {
			return err
		}
		if seen[service.ID] {
			return invalid("two services with the id %q", service.ID)
		}
		seen[service.ID] = true
	}
	return nil
}

func (s Service) check() error {
	switch {
	case s.ID == "":
		return invalid("a service has no id")
	case s.Protocol == "":
		return invalid("service %q has no protocol", s.ID)
	case s.Credential == "":
		return invalid("service %q has no credential", s.ID)
	case len(s.Endpoints) == 0:
		return invalid("service %q has no endpoint", s.ID)
	}
	for _, endpoint := range s.Endpoints {
		if err := endpoint.check(); err != nil {
			return fmt.Errorf("service %q: %w", s.ID, err)
		}
		if !endpoint.encrypted() && !s.Insecure {
			return invalid("service %q has an endpoint without TLS and is not marked insecure", s.ID)
		}
	}
	return s.checkToken()
}

// checkToken checks what only an answer with tokens has.
func (s Service) checkToken() error {
	switch {
	case s.Token != nil && s.Refusal != nil:
		return invalid("service %q has a token and a refusal", s.ID)
	case s.Refusal != nil && s.Refusal.Error == "":
		return invalid("service %q has a refusal without an error code", s.ID)
	case s.Token == nil:
		return nil
	case s.Token.AccessToken == "" || s.Token.IssuedTokenType == "" || s.Token.TokenType == "":
		return invalid("service %q has a token without its text or its types", s.ID)
	case s.Token.ExpiresIn < 1:
		return invalid("service %q has a token that lives for no second", s.ID)
	}
	return nil
}

func (e Endpoint) check() error {
	if e.URL != "" {
		if e.Host != "" || e.Port != 0 || e.Security != "" {
			return invalid("an endpoint has a URL and a host, port or security")
		}
		return checkURL(e.URL)
	}
	switch {
	case e.Host == "":
		return invalid("an endpoint has neither a host nor a URL")
	case e.Port < 1 || e.Port > 65535:
		return invalid("the port %d is not between 1 and 65535", e.Port)
	}
	switch e.Security {
	case SecurityTLS, SecurityStartTLS, SecurityNone:
		return nil
	}
	return invalid("the security %q is none of tls, starttls, none", e.Security)
}

// checkURL refuses user information too: what stands before an "@" is easily
// taken for the host.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return invalid("the URL of an endpoint cannot be read")
	case u.Scheme != "https" && u.Scheme != "http":
		return invalid("the URL of an endpoint is neither https nor http")
	case u.Hostname() == "" || u.User != nil || u.Fragment != "":
		return invalid("the URL of an endpoint has no host, or user information, or a fragment")
	}
	return nil
}

// encrypted reports whether a checked endpoint is reached by TLS.
func (e Endpoint) encrypted() bool {
	if e.URL != "" {
		u, err := url.Parse(e.URL)
		return err == nil && u.Scheme == "https"
	}
	return e.Security != SecurityNone
}

func invalid(format string, values ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, values...))
}
