package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/html"
)

// TestMain puts the tap into the one transport that tests, and the service when it asks
// identity providers, use unless they are told otherwise.
func TestMain(m *testing.M) {
	http.DefaultTransport = taps
	os.Exit(m.Run())
}

var taps = &tap{Transport: http.DefaultTransport.(*http.Transport).Clone()}

// tap shows what passes to the witness of the server that is asked, if it has one.
type tap struct {
	*http.Transport
	witnesses sync.Map // by host and port
}

func (t *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	found, ok := t.witnesses.Load(r.URL.Host)
	if !ok {
		return t.Transport.RoundTrip(r)
	}
	w := found.(*witness)
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
		w.body("request", r.Header, body)
	}
	w.request(r)
	res, err := t.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	w.response(r, res, body)
	return res, nil
}

// witness remembers what passed and must not be in a log: every value of every
// parameter, cookie, header of authorization, redirect, form, link and JSON member,
// except those under a public name, those that a document for everybody holds, and
// those too short to be told from ordinary words. So it knows the secrets of
// endpoints that nobody told it about.
type witness struct {
	mu      sync.Mutex
	secrets map[string]string // where it was seen, by value
	public  map[string]bool   // what an answer to a question without any secret held
}

// watch makes the witness of everything that is asked of these servers until the test ends.
func watch(t testing.TB, servers ...string) *witness {
	t.Helper()
	w := &witness{secrets: map[string]string{}, public: map[string]bool{}}
	for _, s := range servers {
		u, err := url.Parse(s)
		must(t, err)
		taps.witnesses.Store(u.Host, w)
		t.Cleanup(func() { taps.witnesses.Delete(u.Host) })
	}
	return w
}

// publicNames are parameters and members whose values are words of the protocol, of the
// declaration, or made to be shown and logged. A new one that is missing here makes the
// test fail when its value is logged, and not the other way round.
var publicNames = []string{
	"client_id", "redirect_uri", "response_type", "response_mode", "scope", "code_challenge_method", "prompt", "max_age",
	"grant_type", "resource", "audience", "requested_token_type", "subject_token_type", "issued_token_type", "token_type",
	"iss", "aud", "azp", "typ", "alg", "kid", "rel", "decision",
	"error", "error_description", "title", "detail", "request_id",
}

// shortest is the length from which a value is looked for: shorter ones are in
// everything. Addresses are always looked for.
const shortest = 8

var address = regexp.MustCompile(`[\w.+-]+@[\w-]+(\.[\w-]+)+`)

func (w *witness) keep(where, name, value string) {
	w.addresses(where+" "+name, value)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(value) >= shortest && !slices.Contains(publicNames, name) {
		w.secrets[value] = where + " " + name
	}
}

// addresses keeps the addresses in a text of which nothing else is secret.
func (w *witness) addresses(where, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range address.FindAllString(text, -1) {
		w.secrets[a] = where
	}
}

// value keeps a value and what is inside of it.
func (w *witness) value(where, name, value string) {
	w.keep(where, name, value)
	parts := strings.Split(value, ".")
	if len(parts) != 3 || !strings.HasPrefix(value, "eyJ") {
		return
	}
	w.keep(where, name+" signature", parts[2])
	if payload, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
		w.keep(where, name+" payload", parts[1])
		w.json(where+" "+name, payload)
	}
}

func (w *witness) values(where string, values url.Values) {
	for name, list := range values {
		for _, v := range list {
			w.value(where, name, v)
		}
	}
}

func (w *witness) link(where, raw string) {
	if u, err := url.Parse(raw); err == nil {
		w.values(where, u.Query())
		w.addresses(where+" path", u.Path)
	}
}

func (w *witness) request(r *http.Request) {
	w.link("query", r.URL.String())
	for _, c := range r.Cookies() {
		w.value("cookie", c.Name, c.Value)
	}
	if user, password, ok := r.BasicAuth(); ok {
		w.value("Basic", "client_id", user) // RFC 6749, section 2.3.1
		w.value("Basic", "client_secret", password)
	}
	if _, credentials, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		w.value("header", "Authorization", credentials)
	}
}

func (w *witness) response(r *http.Request, res *http.Response, body []byte) {
	for _, c := range res.Cookies() {
		w.value("cookie", c.Name, c.Value)
	}
	if to := res.Header.Get("Location"); to != "" {
		w.link("redirect", to)
	}
	if r.Method == http.MethodGet && r.URL.RawQuery == "" && r.Header.Get("Cookie") == "" && r.Header.Get("Authorization") == "" && res.StatusCode == http.StatusOK {
		w.publish(body)
		return
	}
	w.body("answer", res.Header, body)
}

// publish takes the strings of a document that everybody may read.
func (w *witness) publish(body []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range stringsOf(body) {
		w.public[s.value] = true
	}
}

// body keeps what a request or an answer carries, by its media type.
func (w *witness) body(where string, h http.Header, body []byte) {
	switch mediaType := h.Get("Content-Type"); {
	case strings.HasPrefix(mediaType, "application/x-www-form-urlencoded"):
		if form, err := url.ParseQuery(string(body)); err == nil {
			w.values(where+" form", form)
		}
	case strings.Contains(mediaType, "json"):
		w.json(where+" JSON", body)
	case strings.HasPrefix(mediaType, "text/html"):
		w.page(body)
	}
}

func (w *witness) json(where string, body []byte) {
	for _, s := range stringsOf(body) {
		w.value(where, s.name, s.value)
	}
}

// page keeps the fields and links of a page, and the addresses that it shows.
func (w *witness) page(body []byte) {
	root, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		return
	}
	for n := range root.Descendants() {
		if n.Type == html.TextNode {
			w.addresses("page", n.Data)
		}
		attributes := map[string]string{}
		for _, a := range n.Attr {
			attributes[a.Key] = a.Val
		}
		w.value("page field", attributes["name"], attributes["value"])
		w.link("page link", attributes["href"])
		w.link("page form", attributes["action"])
	}
}

// named is a string in a JSON document under the name of its member.
type named struct{ name, value string }

func stringsOf(document []byte) (list []named) {
	var v any
	if json.Unmarshal(document, &v) == nil {
		walk("", v, func(n named) { list = append(list, n) })
	}
	return list
}

func walk(name string, v any, visit func(named)) {
	switch v := v.(type) {
	case string:
		visit(named{name, v})
	case []any:
		for _, e := range v {
			walk(name, e, visit)
		}
	case map[string]any:
		for member, e := range v {
			walk(member, e, visit)
		}
	}
}

// saw reports whether a value is among what must not be logged.
func (w *witness) saw(value string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.secrets[value] != "" && !w.public[value]
}

// leaks returns what of the secrets is in a log of JSON lines, and where it was seen:
// whole, in whatever case, escaped in JSON or in URLs, in base64, or a piece of it.
func (w *witness) leaks(log string) (found []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := plain(log)
	pieces := map[string]bool{}
	for i := range len(text) - pieceLength + 1 {
		pieces[text[i:i+pieceLength]] = true
	}
	for secret, where := range w.secrets {
		if !w.public[secret] && leaked(text, pieces, secret) {
			found = append(found, where+" "+secret)
		}
	}
	slices.Sort(found)
	return found
}

// pieceLength is how much of a random value must not be logged either: nothing else is
// equal to so much of it by chance.
const pieceLength = 12

// opaque is what a random value looks like.
var opaque = regexp.MustCompile(`^[\w.~+/=-]{24,}$`)

func leaked(text string, pieces map[string]bool, secret string) bool {
	for _, form := range []string{
		secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
	} {
		if strings.Contains(text, strings.ToLower(form)) {
			return true
		}
	}
	if !opaque.MatchString(secret) || strings.Contains(secret, "//") {
		return false
	}
	secret = strings.ToLower(secret)
	for i := range len(secret) - pieceLength + 1 {
		if pieces[secret[i:i+pieceLength]] {
			return true
		}
	}
	return false
}

// plain is the log in lower case with every string beside it as it was before it was
// escaped for JSON and for URLs.
func plain(log string) string {
	var b strings.Builder
	b.WriteString(log)
	for line := range strings.Lines(log) {
		var v map[string]any
		if json.Unmarshal([]byte(line), &v) != nil {
			continue
		}
		walk("", v, func(n named) {
			b.WriteString("\n" + n.name + "\n" + n.value)
			// Twice: a redirect inside of a redirect.
			once := unescape(n.value)
			b.WriteString("\n" + once + "\n" + unescape(once))
		})
	}
	return strings.ToLower(b.String())
}

var escaped = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// unescape is url.QueryUnescape for texts of which a part may be a URL.
func unescape(text string) string {
	return escaped.ReplaceAllStringFunc(text, func(e string) string {
		b, _ := hex.DecodeString(e[1:]) // the expression lets only digits pass
		return string(b)
	})
}
