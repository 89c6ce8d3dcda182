package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// work is what is asked in a slice, and how the answers are checked. Its methods are called by
// many goroutines.
type work interface {
	// request appends the nth request to b. There is no nth if it returns nil.
	request(b []byte, n int) []byte
	// check looks at every answer, quickly.
	check(n int, body []byte) error
	// study looks at some of the answers after the slice, as closely as can be.
	study(n int, body []byte) error
}

// oneIn is how many answers there are to one that is studied.
const oneIn = 61

// slice is what came out of one.
type slice struct {
	answers int
	took    time.Duration // until the last answer, and as long as the server went on working for them
	server  time.Duration // processor time of the server
	client  time.Duration // and of this process
}

func (s slice) rate() float64 { return float64(s.answers) / s.took.Seconds() }

// each is the server's processor time for an answer, in microseconds.
func (s slice) each() float64 { return float64(s.server.Microseconds()) / float64(s.answers) }

// target is a server, and how many connections ask it at once.
type target struct {
	process     *process
	connections int
}

// dial opens connections. They are new in each slice: a server closes those on which it hears
// nothing for a while.
func (t *target) dial(ctx context.Context, number int) (all connections, err error) {
	for range number {
		var dialer net.Dialer
		c, err := dialer.DialContext(ctx, "tcp", t.process.address)
		if err != nil {
			return nil, errors.Join(err, all.close())
		}
		all = append(all, &connection{Conn: c, reader: bufio.NewReaderSize(c, 32<<10)})
	}
	return all, nil
}

type connections []*connection

func (all connections) close() (err error) {
	for _, c := range all {
		err = errors.Join(err, c.Close())
	}
	return err
}

// kept is an answer that is studied afterwards.
type kept struct {
	n    int
	body []byte
}

// ask asks all connections of a target for as long as said, or until there is no work left.
func (t *target) ask(ctx context.Context, w work, span time.Duration) (slice, error) {
	opened, err := t.dial(ctx, t.connections)
	if err != nil {
		return slice{}, err
	}
	var (
		next     atomic.Int64
		all      sync.WaitGroup
		mu       sync.Mutex
		done     slice
		failures []error
		sample   []kept
	)
	client, server := ownTime(), t.process.time()
	began := time.Now()
	for _, c := range opened {
		all.Go(func() {
			answers, studied, err := c.loop(w, &next, began.Add(span))
			mu.Lock()
			defer mu.Unlock()
			done.answers += answers
			sample = append(sample, studied...)
			if err != nil {
				failures = append(failures, err)
			}
		})
	}
	all.Wait()
	done.took = time.Since(began)
	done.client = ownTime() - client
	if err := opened.close(); err != nil {
		failures = append(failures, err)
	}
	atLast := t.process.time()
	settled := t.process.settle()
	done.took += settled - atLast
	done.server = settled - server
	if len(failures) > 0 {
		return done, failures[0]
	}
	for _, k := range sample {
		if err := w.study(k.n, k.body); err != nil {
			return done, fmt.Errorf("answer %d: %w: %s", k.n, err, shortened(k.body))
		}
	}
	return done, nil
}

// shortened is enough of an answer to see what is wrong with it.
func shortened(body []byte) []byte { return body[:min(len(body), 300)] }

// connection speaks as much HTTP/1.1 as the two servers do: a client that could do more would need
// more of the processor than they.
type connection struct {
	net.Conn
	reader  *bufio.Reader
	request []byte
	body    []byte
}

func (c *connection) loop(w work, next *atomic.Int64, end time.Time) (answers int, studied []kept, err error) {
	if err := c.SetDeadline(end.Add(patience)); err != nil {
		return 0, nil, err
	}
	for time.Now().Before(end) {
		n := int(next.Add(1) - 1)
		c.request = w.request(c.request[:0], n)
		if c.request == nil {
			return answers, studied, nil
		}
		if _, err := c.Write(c.request); err != nil {
			return answers, studied, fmt.Errorf("ask: %w", err)
		}
		status, err := c.answer()
		if err != nil {
			return answers, studied, fmt.Errorf("read answer %d: %w", n, err)
		}
		if status != 200 {
			return answers, studied, fmt.Errorf("answer %d: status %d: %s", n, status, shortened(c.body))
		}
		if err := w.check(n, c.body); err != nil {
			return answers, studied, fmt.Errorf("answer %d: %w: %s", n, err, shortened(c.body))
		}
		if n%oneIn == 0 {
			studied = append(studied, kept{n, bytes.Clone(c.body)})
		}
		answers++
	}
	return answers, studied, nil
}

var errHTTP = errors.New("not the HTTP that is spoken here")

// answer reads an answer. Its body is good until the next one.
func (c *connection) answer() (status int, err error) {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	rest, ok := bytes.CutPrefix(line, []byte("HTTP/1.1 "))
	if !ok || len(rest) < 3 {
		return 0, errHTTP
	}
	if status, err = strconv.Atoi(string(rest[:3])); err != nil {
		return 0, errHTTP
	}
	length := -1
	for {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return 0, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, errHTTP
			}
		}
	}
	if length < 0 {
		return 0, errHTTP
	}
	c.body = append(c.body[:0], make([]byte, length)...)
	_, err = io.ReadFull(c.reader, c.body)
	return status, err
}
