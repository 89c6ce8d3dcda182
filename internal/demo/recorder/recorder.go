// Package recorder watches what a server is given. It stands in front of the
// demo's Signpost and looks for people's passwords in every request, so that
// "Signpost never sees a password" is a figure that was counted and not a claim.
package recorder

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"html"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf16"
	"unicode/utf8"
)

// maxBody is the largest request body that is let through, because a longer one
// could not be searched whole.
const maxBody = 8 << 20

// Recorder searches requests for secrets, raw and encoded.
type Recorder struct {
	patterns [][][]byte // per secret: what is looked for
	seen     atomic.Int64
	requests atomic.Int64
}

// New makes a recorder for the given secrets. Each needs eight bytes at least: a
// shorter one would be found where it was not sent.
func New(secrets ...string) *Recorder {
	r := &Recorder{}
	for _, s := range secrets {
		if len(s) < 8 {
			panic("recorder: a secret of less than eight bytes cannot be told from chance")
		}
		r.patterns = append(r.patterns, patterns([]byte(s)))
	}
	return r
}

// Seen returns how often a secret was found: once per request and secret.
func (r *Recorder) Seen() int64 { return r.seen.Load() }

// Requests returns how many requests were searched.
func (r *Recorder) Requests() int64 { return r.requests.Load() }

// Wrap returns a handler that searches each request and then hands it to next,
// body and all. A body of more than 8 MiB is refused with 413.
func (r *Recorder) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
		if err != nil {
			http.Error(w, "The request could not be read, or is larger than the demo takes.", http.StatusRequestEntityTooLarge)
			return
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		r.requests.Add(1)
		r.search(req, body)
		next.ServeHTTP(w, req)
	})
}

func (r *Recorder) search(req *http.Request, body []byte) {
	var head bytes.Buffer
	head.WriteString(req.Method + "\n" + req.RequestURI + "\n" + req.Host + "\n")
	for _, header := range []http.Header{req.Header, req.Trailer} {
		for name, values := range header {
			for _, value := range values {
				head.WriteString(name + ": " + value + "\n")
			}
		}
	}
	views := append(views(head.Bytes()), views(body)...)
	for _, secret := range r.patterns {
		if containsAny(views, secret) {
			r.seen.Add(1)
		}
	}
}

func containsAny(views, patterns [][]byte) bool {
	for _, view := range views {
		for _, p := range patterns {
			if bytes.Contains(view, p) {
				return true
			}
		}
	}
	return false
}

// views returns the text as it came and with each kind of escape undone, so that
// it does not matter which characters a sender chose to escape, or how.
func views(text []byte) [][]byte {
	percent := unescape(text, '%', percentEscape)
	return [][]byte{
		text,
		percent,
		bytes.ReplaceAll(percent, []byte("+"), []byte(" ")),
		unescape(bytes.ReplaceAll(text, []byte("+"), []byte(" ")), '%', percentEscape), // of a form
		unescape(text, '\\', jsonEscape),
		[]byte(html.UnescapeString(string(text))),
	}
}

// patterns returns the secret and what it looks like in hex and in base64.
func patterns(secret []byte) [][]byte {
	lower := hex.EncodeToString(secret)
	all := [][]byte{secret, []byte(lower), []byte(strings.ToUpper(lower))}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 {
			all = append(all, insideBase64(encoding, secret, shift))
		}
	}
	return all
}

// insideBase64 returns the characters that depend on the secret alone when it
// stands in a longer text whose bytes before it number shift modulo 3, as a
// password does in Basic credentials. A character holds six bits.
func insideBase64(encoding *base64.Encoding, secret []byte, shift int) []byte {
	padded := append(make([]byte, shift), secret...)
	encoded := []byte(encoding.EncodeToString(padded))
	first := (shift*8 + 5) / 6
	last := len(padded) * 8 / 6
	return encoded[first:last]
}

// unescape undoes the escapes that begin with mark and leaves alone what is none.
func unescape(text []byte, mark byte, decode func([]byte) (out []byte, length int)) []byte {
	plain := make([]byte, 0, len(text))
	for len(text) > 0 {
		if text[0] == mark {
			if out, n := decode(text); n > 0 {
				plain, text = append(plain, out...), text[n:]
				continue
			}
		}
		plain, text = append(plain, text[0]), text[1:]
	}
	return plain
}

// percentEscape reads %41 (RFC 3986, section 2.1).
func percentEscape(text []byte) ([]byte, int) {
	if len(text) < 3 {
		return nil, 0
	}
	b, err := strconv.ParseUint(string(text[1:3]), 16, 8)
	if err != nil {
		return nil, 0
	}
	return []byte{byte(b)}, 3
}

// jsonEscape reads a backslash with a letter, with four hexadecimal digits, or a
// pair of surrogates (RFC 8259, section 7).
func jsonEscape(text []byte) ([]byte, int) {
	if len(text) < 2 {
		return nil, 0
	}
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if i := strings.IndexByte(from, text[1]); i >= 0 {
		return []byte{to[i]}, 2
	}
	first, ok := jsonUnit(text)
	if !ok {
		return nil, 0
	}
	if !utf16.IsSurrogate(first) {
		return utf8.AppendRune(nil, first), 6
	}
	second, ok := jsonUnit(text[6:])
	if !ok {
		return nil, 0
	}
	return utf8.AppendRune(nil, utf16.DecodeRune(first, second)), 12
}

func jsonUnit(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(unit), err == nil
}
