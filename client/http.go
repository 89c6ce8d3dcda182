package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	defaultTimeout = 20 * time.Second
	maxBody        = 1 << 20 // bytes of an answer, after decompression
	mediaTypeJSON  = "application/json"
)

// answer is a response that has been read to its end.
type answer struct {
	host   string // who answered, for messages
	status int
	header http.Header
	body   []byte
}

// get asks for a document. It follows no redirect.
func (c *Client) get(ctx context.Context, u *url.URL, header http.Header) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return answer{}, malformed("a URL that cannot be asked")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	return c.send(req)
}

// send is the one place from which requests go out.
func (c *Client) send(req *http.Request) (answer, error) {
	if err := checkURL(req.URL); err != nil {
		return answer{}, err
	}
	res, err := c.sender().Do(req)
	if err != nil {
		return answer{}, sendError(req.URL.Host, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, sendError(req.URL.Host, err)
	}
	return answer{host: req.URL.Host, status: res.StatusCode, header: res.Header, body: body}, nil
}

// sender returns the HTTP client for one request: bodies are bounded and a
// redirect is an answer like any other, so that no token travels along one (R29).
func (c *Client) sender() *http.Client {
	h := http.Client{Timeout: defaultTimeout}
	if c.HTTP != nil {
		h = *c.HTTP
	}
	if h.Transport == nil {
		h.Transport = http.DefaultTransport
	}
	h.Transport = bounded{h.Transport}
	h.Jar = nil
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &h
}

// bounded is a transport whose answers have at most maxBody bytes.
type bounded struct{ next http.RoundTripper }

// RoundTrip sends a request. It refuses a Location that is not a URL before
// net/http does, whose error repeats it: it may hold the person's address.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if _, err := req.URL.Parse(res.Header.Get("Location")); err != nil {
		res.Body.Close()
		return nil, malformed("a redirect to something that is not a URL")
	}
	res.Body = http.MaxBytesReader(nil, res.Body, maxBody)
	return res, nil
}

// sendError gives a failure to send or to read its place among our errors. The
// URL is taken off: its query may hold the person's address.
func sendError(host string, err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return malformed("%s: more than %d bytes", host, maxBody)
	}
	if errors.Is(err, ErrMalformed) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", ErrUnreachable, host, err)
}

// check refuses everything but 200 with one of the media types.
func (a answer) check(mediaTypes ...string) error {
	switch {
	case a.status == http.StatusTooManyRequests, a.status >= 500:
		return fmt.Errorf("%w: %s: status %d", ErrUnreachable, a.host, a.status)
	case a.status != http.StatusOK:
		return malformed("%s: status %d instead of 200", a.host, a.status)
	case !slices.Contains(mediaTypes, a.mediaType()):
		return malformed("%s: media type is not %s", a.host, mediaTypes[0])
	}
	return nil
}

func (a answer) mediaType() string {
	mediaType, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return mediaType
}

// refused returns the refusal in the words of OAuth 2.0 that the answer holds, or nil.
func (a answer) refused() *Error {
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if a.mediaType() != mediaTypeJSON || json.Unmarshal(a.body, &body) != nil || body.Error == "" {
		return nil //nolint:nilerr // what is not JSON holds no refusal in words, which is no error
	}
	return refusal(body.Error, body.Description, a.status)
}
