package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"signpost/oidc"
)

// TestAKilledReplicaEndsNoSignIn: each step of a sign-in is answered by a replica
// that dies after it, and the next one by the other.
func TestAKilledReplicaEndsNoSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs{})
	kept := w.signedIn()
	w.known(kept)
	b := w.browser()
	var first, consent page
	var code string
	var s session
	for i, step := range []struct {
		name string
		do   func()
	}{
		{"the first page", func() { first = b.begin() }},
		{"the way to the identity provider", func() { b.choose(first) }},
		{"the consent page", func() { consent = b.arrive() }},
		{"the person's yes", func() { b.allow(consent); code = b.codeIn() }},
		{"the program's tokens", func() {
			a := w.any().redeem(code)
			a.want(t, "redeem", http.StatusOK, "")
			s = session{a.AccessToken, a.RefreshToken}
		}},
		{"the next tokens", func() { w.any().refresh(s.refresh).want(t, "refresh", http.StatusOK, "") }},
	} {
		dies := w.proxy.replicas[i%2]
		w.proxy.only(dies)
		step.do()
		dies.kill(t)
		w.proxy.all()
		for range w.proxy.replicas { // whoever's turn it is
			if !w.any().admits(kept.access) {
				t.Errorf("after %s: with replica %s dead a known token is not admitted", step.name, dies.name)
			}
		}
		dies.start(t)
		dies.await(t)
	}
	w.known(s)
}

// TestAStoppedReplicaFinishesWhatItHasInHand: a program has sent half of its request
// when the replica is told to stop.
func TestAStoppedReplicaFinishesWhatItHasInHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs{})
	s := w.signedIn()
	form := url.Values{
		"grant_type": {oidc.GrantTypeRefreshToken}, "client_id": {oidc.ClientOpen}, "refresh_token": {s.refresh},
	}.Encode()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", w.first.listen)
	w.must(err)
	defer conn.Close()
	w.must(conn.SetDeadline(time.Now().Add(patience)))
	_, err = fmt.Fprintf(conn, "POST /token HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n", strings.TrimPrefix(w.proxy.URL, "http://"), len(form))
	w.must(err)
	answers := bufio.NewReader(conn)
	// It is asked to go on, so the request is in hand (RFC 9110, section 10.1.1).
	goOn, err := http.ReadResponse(answers, nil)
	w.must(err)
	w.must(goOn.Body.Close())
	if goOn.StatusCode != http.StatusContinue {
		t.Fatalf("got %s, want 100", goOn.Status)
	}

	w.first.signal(t, syscall.SIGTERM)
	eventually(t, "new connections are refused", patience, func() bool {
		other, err := new(net.Dialer).DialContext(t.Context(), "tcp", w.first.listen)
		if err == nil {
			_ = other.Close() // it was only to see whether somebody listens
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	_, err = io.WriteString(conn, form)
	w.must(err)
	res, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatalf("the request in hand was not answered: %v", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	w.must(err)
	w.proxy.secrets.fromResponse(res, body)
	if res.StatusCode != http.StatusOK {
		t.Errorf("the request in hand was answered %s: %s", res.Status, body)
	}
	if err := w.first.ended(); err != nil {
		t.Errorf("the replica ended with %v", err)
	}
	w.any().refresh(s.refresh).want(t, "the same refresh at the other replica", http.StatusOK, "")
}

// TestARollingRestartLosesNoRequest: people sign in and programs ask all the time
// while one replica after the other is stopped and started again.
func TestARollingRestartLosesNoRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs{settings: map[string]string{"SIGNPOST_SHUTDOWN_DELAY": "500ms"}})
	w.proxy.followHealth(t)
	stop := w.traffic()
	for _, r := range w.proxy.replicas {
		w.must(r.stop())
		r.start(t)
		r.await(t)
		eventually(t, "replica "+r.name+" gets requests again", patience, func() bool { return w.proxy.isIn(r) })
	}
	for what, asked := range stop() {
		if asked < 10 {
			t.Errorf("%s: only %d times during the restarts", what, asked)
		}
	}
}

// traffic asks for everything, all the time, until it is stopped. Every answer must be good.
func (w *world) traffic() (stop func() map[string]int64) {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	shown, kept := w.signedIn(), w.signedIn()
	asks := map[string]func(){
		"discovery":     func() { w.any().get(webfinger(alice)).want(w, "discovery", http.StatusOK, "") },
		"exchange":      func() { w.any().exchange(shown.access).want(w, "exchange", http.StatusOK, "") },
		"configuration": func() { w.any().configuration(shown.access).want(w, "configuration", http.StatusOK, "") },
		"refresh": func() {
			next := w.any().refresh(kept.refresh)
			next.want(w, "refresh", http.StatusOK, "")
			kept = session{next.AccessToken, next.RefreshToken}
		},
		"sign-in": func() { w.signedIn() },
	}
	asked := map[string]*atomic.Int64{}
	var asking sync.WaitGroup
	for what, ask := range asks {
		asked[what] = new(atomic.Int64)
		asking.Go(func() {
			for ctx.Err() == nil && !w.Failed() {
				ask()
				asked[what].Add(1)
			}
		})
	}
	end := func() { cancel(); asking.Wait() }
	w.Cleanup(end) // also when the test is given up
	return func() map[string]int64 {
		end()
		counts := map[string]int64{}
		for what, n := range asked {
			counts[what] = n.Load()
		}
		return counts
	}
}
