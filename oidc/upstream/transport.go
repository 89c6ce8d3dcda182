package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	timeout = 10 * time.Second // of one request, answer included
	maxBody = 1 << 20          // bytes of an answer
)

// careful returns a client with the transport of the given one and limits of ours.
// Cookies are not for servers, and a redirect could lead a code, a secret or
// the question for keys to somebody else.
func careful(client *http.Client) *http.Client {
	next := http.DefaultTransport
	if client != nil && client.Transport != nil {
		next = client.Transport
	}
	return &http.Client{
		Transport:     limited{next},
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// limited reads answers whole and turns useless ones into errors, so that
// neither an endless document nor the text of an error page, which may name
// people, gets into the libraries above and their error strings.
type limited struct{ next http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("answer is larger than %d bytes", maxBody)
	}
	// The token endpoint answers POST, and its 400 says why in a form that x/oauth2 reads.
	if r.Method == http.MethodGet && response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered %d", response.StatusCode)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	response.ContentLength = int64(len(body))
	return response, nil
}

// unreachable reports whether err is of the transport, or of a context that
// ended, rather than of an answer.
func unreachable(err error) bool {
	if _, ok := errors.AsType[*url.Error](err); ok {
		return true
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
