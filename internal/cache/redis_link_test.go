package cache_test

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// What a link does with what Redis says.
const (
	forward int32 = iota
	mute          // lets the caller wait for ever
	cut           // closes the connection in place of the next answer, and then forwards
)

// link is a way to Redis that can fail.
type link struct {
	address string
	mode    atomic.Int32
	heard   atomic.Int32 // connections and questions so far
}

func newLink(t *testing.T, server string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	l := &link{address: listener.Addr().String()}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			l.heard.Add(1)
			far, err := net.Dial("tcp", server)
			if err != nil {
				_ = near.Close()
				continue
			}
			go l.ask(near, far)
			go l.answer(near, far)
		}
	}()
	return l
}

// wait returns when more was heard than before.
func (l *link) wait(t *testing.T, before int32) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for l.heard.Load() == before {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatal("nothing was asked")
		}
	}
}

func (l *link) ask(near, far net.Conn) {
	defer func() { _ = far.Close() }()
	_, _ = io.Copy(far, io.TeeReader(near, counter{&l.heard}))
}

func (l *link) answer(near, far net.Conn) {
	defer func() { _ = near.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := far.Read(buffer)
		if err != nil || l.mode.CompareAndSwap(cut, forward) {
			return
		}
		if l.mode.Load() == mute {
			continue
		}
		if _, err := near.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// counter counts what is written to it.
type counter struct{ n *atomic.Int32 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(1)
	return len(p), nil
}
