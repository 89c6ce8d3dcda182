package cachetest

import (
	"context"
	"testing"
	"time"

	"signpost/internal/cache"
)

// patience is how long a message may be on its way before a case fails.
const patience = 5 * time.Second

func subscribe(t *testing.T, c cache.Cache, channel string) <-chan []byte {
	t.Helper()
	messages, stop, err := c.Subscribe(t.Context(), channel)
	if err != nil {
		t.Fatalf("Subscribe(%q): %v", channel, err)
	}
	t.Cleanup(stop)
	return messages
}

func publish(t *testing.T, c cache.Cache, channel, message string) {
	t.Helper()
	if err := c.Publish(t.Context(), channel, []byte(message)); err != nil {
		t.Fatalf("Publish(%q, %q): %v", channel, message, err)
	}
}

func wantMessage(t *testing.T, messages <-chan []byte, want string) {
	t.Helper()
	select {
	case got, open := <-messages:
		if !open || string(got) != want {
			t.Errorf("message: got %q (subscription open: %v), want %q", got, open, want)
		}
	case <-time.After(patience):
		t.Errorf("message %q did not come", want)
	}
}

// wantEnd fails unless the subscription ends; what was under way may come first.
func wantEnd(t *testing.T, messages <-chan []byte) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case _, open := <-messages:
			if !open {
				return
			}
		case <-deadline:
			t.Error("the subscription did not end")
			return
		}
	}
}

func publishToAll(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	one, two := subscribe(t, c, "bell"), subscribe(t, c, "bell")
	for _, message := range []string{"first", "", "third"} {
		publish(t, c, "bell", message)
	}
	for _, messages := range []<-chan []byte{one, two} {
		for _, want := range []string{"first", "", "third"} {
			wantMessage(t, messages, want)
		}
	}
}

func publishOneChannel(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	messages := subscribe(t, c, "bell")
	for _, other := range []string{"", "bel", "bell:", "bells", "BELL", "b*", "?ell"} {
		publish(t, c, other, "for another channel")
	}
	publish(t, c, "bell", "for this one")
	wantMessage(t, messages, "for this one")

	set(t, c, "bell", "value", time.Minute) // a channel is not a key either
	publish(t, c, "bell", "again")
	wantMessage(t, messages, "again")
	wantValue(t, c, "bell", "value")
}

func publishToNobody(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	publish(t, c, "bell", "before")
	messages := subscribe(t, c, "bell")
	publish(t, c, "bell", "after")
	wantMessage(t, messages, "after") // nothing is kept for those who come later
}

func publishCopies(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	one, two := subscribe(t, c, "bell"), subscribe(t, c, "bell")
	message := []byte("message")
	if err := c.Publish(t.Context(), "bell", message); err != nil {
		t.Fatalf("Publish: %v", err)
	}
	message[0] = 'X'
	select {
	case got := <-one:
		if string(got) != "message" {
			t.Errorf("message after the publisher changed its slice: got %q", got)
		}
		if len(got) > 0 {
			got[0] = 'Y'
		}
	case <-time.After(patience):
		t.Fatal("the message did not come")
	}
	wantMessage(t, two, "message")
}

func slowReader(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	slow := subscribe(t, c, "bell")
	const many = 5000
	for range many { // nobody reads: if a publisher were blocked, the test would never end
		publish(t, c, "bell", "ring")
	}
	wantMessage(t, slow, "ring")
	quick := subscribe(t, c, "bell")
	publish(t, c, "bell", "once more")
	wantMessage(t, quick, "once more")
}

func stopSubscription(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	messages, stop, err := c.Subscribe(t.Context(), "bell")
	if err != nil {
		t.Fatalf("Subscribe: %v", err)
	}
	stays := subscribe(t, c, "bell")
	stop()
	stop() // twice does no harm
	publish(t, c, "bell", "ring")
	wantEnd(t, messages)
	wantMessage(t, stays, "ring")
}

func cancelSubscription(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	ctx, cancel := context.WithCancel(t.Context())
	messages, stop, err := c.Subscribe(ctx, "bell")
	if err != nil {
		t.Fatalf("Subscribe: %v", err)
	}
	cancel()
	wantEnd(t, messages)
	stop() // does no harm afterwards
	publish(t, c, "bell", "ring")
}
