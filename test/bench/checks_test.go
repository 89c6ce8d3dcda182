package main

import (
	"bytes"
	"crypto"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// bareRig is the bare handler in this process with exchanges that fit it.
func bareRig(t *testing.T) (*bare, *httptest.Server, *exchanges) {
	t.Helper()
	b, err := newBare()
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathExchange, b.exchange)
	mux.HandleFunc(pathVerify, b.verifyOnly)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return b, server, &exchanges{
		head: post(strings.TrimPrefix(server.URL, "http://"), pathExchange), endless: true, issuer: bareIssuer,
		subjects: []subject{{"header.payload.signature", barePerson}}, places: []place{{barePlace, bareScope}},
		key: func(string) crypto.PublicKey { return b.key.Public() },
	}
}

// asked is a target in this process.
func asked(server *httptest.Server) *target {
	return &target{process: &process{address: server.Listener.Addr().String(), pid: os.Getpid()}, connections: 3}
}

func TestAskChecksAnswers(t *testing.T) {
	t.Parallel()
	_, server, e := bareRig(t)
	done, err := asked(server).ask(t.Context(), e, 20*time.Millisecond)
	if err != nil || done.answers == 0 || done.rate() <= 0 {
		t.Fatalf("right answers: %+v, %v", done, err)
	}
	e.subjects[0].person = "somebody else"
	if _, err := asked(server).ask(t.Context(), e, 20*time.Millisecond); err == nil {
		t.Error("tokens for somebody else are accepted")
	}
	e.head = strings.Replace(e.head, pathExchange, "/nowhere", 1)
	if _, err := asked(server).ask(t.Context(), e, 20*time.Millisecond); err == nil {
		t.Error("status 404 is accepted")
	}
}

func TestWorkEnds(t *testing.T) {
	t.Parallel()
	_, server, e := bareRig(t)
	e.endless = false
	e.subjects = []subject{e.subjects[0], e.subjects[0], e.subjects[0]}
	e.places = []place{e.places[0], e.places[0]}
	done, err := asked(server).ask(t.Context(), e, patience)
	if err != nil || done.answers != 6 || done.took > patience/2 {
		t.Errorf("three subjects at two places: %+v, %v, want six answers and an end", done, err)
	}
}

// answered is an answer of the bare handler.
func answered(t *testing.T, b *bare) []byte {
	t.Helper()
	w := httptest.NewRecorder()
	b.exchange(w, nil)
	return w.Body.Bytes()
}

func TestStudy(t *testing.T) {
	t.Parallel()
	b, _, e := bareRig(t)
	good := answered(t, b)
	if err := e.study(0, good); err != nil {
		t.Fatalf("a right answer: %v", err)
	}
	other, err := newBare()
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{
		"no JSON":            []byte("x"),
		"no token":           []byte(`{}`),
		"by another key":     answered(t, other),
		"another scope":      bytes.Replace(good, []byte(bareScope), []byte("urn:signpost:scope:chat"), 1),
		"another type":       bytes.Replace(good, []byte(`"Bearer"`), []byte(`"N_A"`), 1),
		"longer than it is":  bytes.Replace(good, []byte(`"expires_in":900`), []byte(`"expires_in":86400`), 1),
		"for no time at all": bytes.Replace(good, []byte(`"expires_in":900`), []byte(`"expires_in":0`), 1),
	} {
		if e.study(0, body) == nil {
			t.Errorf("%s is accepted: %s", name, body)
		}
	}
	for name, change := range map[string]func(*exchanges){
		"of another issuer":   func(e *exchanges) { e.issuer = "https://other.example.test" },
		"for another service": func(e *exchanges) { e.places = []place{{"https://other.example.test/", bareScope}} },
		"of somebody else":    func(e *exchanges) { e.subjects = []subject{{"x", "somebody else"}} },
	} {
		changed := *e
		change(&changed)
		if changed.study(0, good) == nil || changed.issuer == bareIssuer && changed.check(0, good) == nil {
			t.Errorf("a token %s is accepted", name)
		}
	}
	e.numbers = newNumbers()
	if err := e.study(0, good); err != nil {
		t.Errorf("a new token: %v", err)
	}
	if e.study(0, good) == nil {
		t.Error("the same token again is accepted where another one is wanted")
	}
}

func TestQuestions(t *testing.T) {
	t.Parallel()
	_, server, _ := bareRig(t)
	question := []byte("GET " + pathVerify + " HTTP/1.1\r\nHost: x\r\n\r\n")
	looked := 0
	q, err := learn(t.Context(), asked(server), [][]byte{question, question}, func(_ int, body []byte) error {
		looked++
		if string(body) != bareActive {
			return errWrong
		}
		return nil
	})
	if err != nil || looked != 2 {
		t.Fatalf("learn: %v after %d answers", err, looked)
	}
	if _, err := asked(server).ask(t.Context(), q, 20*time.Millisecond); err != nil {
		t.Errorf("the same answers: %v", err)
	}
	q.right[1] = []byte(`{"active":false}`)
	if _, err := asked(server).ask(t.Context(), q, 20*time.Millisecond); err == nil {
		t.Error("another answer is accepted")
	}
}
