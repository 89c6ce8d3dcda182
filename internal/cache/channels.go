package cache

import (
	"bytes"
	"context"
	"sync"
)

// backlog is how many messages wait for a slow reader before it misses some.
const backlog = 64

// channels is who listens to what. Its zero value is ready.
type channels struct {
	mu        sync.Mutex
	ended     bool
	listeners map[string]map[*listener]struct{}
}

// listener is one subscription. Its messages channel is closed under the lock of
// channels, so that nobody sends to a closed channel.
type listener struct{ messages chan []byte }

// Publish implements Cache.
func (m *Memory) Publish(ctx context.Context, channel string, message []byte) error {
	if err := m.usable(ctx); err != nil {
		return err
	}
	m.channels.send(channel, message)
	return nil
}

// Subscribe implements Cache. The channel of messages is closed when stop is
// called, when ctx ends or when the cache is closed.
func (m *Memory) Subscribe(ctx context.Context, channel string) (<-chan []byte, func(), error) {
	if err := m.usable(ctx); err != nil {
		return nil, nil, err
	}
	l, ok := m.channels.join(channel)
	if !ok {
		return nil, nil, ErrUnavailable
	}
	forget := context.AfterFunc(ctx, func() { m.channels.leave(channel, l) })
	stop := func() {
		forget()
		m.channels.leave(channel, l)
	}
	return l.messages, stop, nil
}

func (c *channels) send(channel string, message []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l := range c.listeners[channel] {
		select {
		case l.messages <- bytes.Clone(message):
		default: // a slow reader misses it
		}
	}
}

// join adds a listener, unless the cache was closed.
func (c *channels) join(channel string) (*listener, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, false
	}
	if c.listeners == nil {
		c.listeners = map[string]map[*listener]struct{}{}
	}
	if c.listeners[channel] == nil {
		c.listeners[channel] = map[*listener]struct{}{}
	}
	l := &listener{messages: make(chan []byte, backlog)}
	c.listeners[channel][l] = struct{}{}
	return l, true
}

// leave ends a subscription; ending it again does nothing.
func (c *channels) leave(channel string, l *listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, listening := c.listeners[channel][l]; !listening {
		return
	}
	close(l.messages)
	delete(c.listeners[channel], l)
	if len(c.listeners[channel]) == 0 {
		delete(c.listeners, channel)
	}
}

// end ends every subscription and lets nobody join any more.
func (c *channels) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for _, listeners := range c.listeners {
		for l := range listeners {
			close(l.messages)
		}
	}
	c.listeners = nil
}
