package cache

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// messageLife is how long a message may be on its way. Redis hands it over
	// at once; the minute is for clocks that differ.
	messageLife = time.Minute
	// heartbeat is how often a subscription asks whether its connection lives, and
	// silence how long that may stay unanswered: a server that lost its power
	// closes no connection.
	heartbeat = time.Second
	silence   = 3 * time.Second
	// resubscribeAfter is the pause before a lost connection is made again.
	resubscribeAfter = 200 * time.Millisecond
)

// Publish implements Cache.
func (r *Redis) Publish(ctx context.Context, channel string, message []byte) error {
	p, err := r.place(messageKind, channel)
	if err != nil {
		return err
	}
	sealed, err := r.seal(p, message, r.now().Add(messageLife))
	if err != nil {
		return err
	}
	return r.do(ctx, "publish", func(ctx context.Context) error {
		publish := redis.NewIntCmd(ctx, "publish", p.name, sealed)
		// As if the channel were a key: in a Cluster all then goes through the server
		// that the subscribers have chosen by the same slot. From others messages
		// would overtake each other.
		publish.SetFirstKeyPos(1)
		return r.client.Process(ctx, publish)
	})
}

// Subscribe implements Cache. The channel of messages is closed when stop is
// called, when ctx ends or when the cache is closed. It is no error if Redis is away: the
// subscription connects, now and whenever the connection was lost, and misses
// what is sent in between. Messages that were not sealed for this channel, are
// older than a minute or come a second time are dropped.
func (r *Redis) Subscribe(ctx context.Context, channel string) (<-chan []byte, func(), error) {
	p, err := r.place(messageKind, channel)
	if err != nil {
		return nil, nil, err
	}
	l := &redisListener{redis: r, place: p, messages: make(chan []byte, backlog), asked: make(chan struct{})}
	ctx, stop, err := r.listen(ctx, l)
	if err != nil {
		return nil, nil, err
	}
	wait := time.NewTimer(r.within)
	defer wait.Stop()
	select {
	case <-l.asked:
	case <-wait.C:
	case <-ctx.Done():
	}
	return l.messages, stop, nil
}

// listen starts a listener; its context ends with stop, the caller's or the cache.
func (r *Redis) listen(ctx context.Context, l *redisListener) (context.Context, context.CancelFunc, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.usable(ctx); err != nil {
		return nil, nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	forget := context.AfterFunc(r.ended, stop)
	r.listeners.Go(func() {
		defer close(l.messages)
		defer forget()
		l.run(ctx)
	})
	return ctx, stop, nil
}

// redisListener is one subscription. Its own goroutine alone sends to messages and
// closes it.
type redisListener struct {
	redis    *Redis
	place    place
	messages chan []byte
	once     sync.Once
	asked    chan struct{} // closed when Redis has said yes, or when it did not answer
	seen     seen
}

// run listens until ctx ends, on one connection after the other.
func (l *redisListener) run(ctx context.Context) {
	for ctx.Err() == nil {
		// Whatever ended it, there is another connection to try.
		_ = guarded(ctx, func(ctx context.Context) error { l.listen(ctx); return nil })
		l.once.Do(func() { close(l.asked) })
		select {
		case <-ctx.Done():
		case <-time.After(resubscribeAfter):
		}
	}
}

// listen delivers what comes on one connection, until it is lost or ctx ends.
func (l *redisListener) listen(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	connection := l.redis.client.Subscribe(ctx, l.place.name)
	context.AfterFunc(ctx, func() { _ = connection.Close() }) // the only way to end a reading
	var beats sync.WaitGroup
	beats.Go(func() { beat(ctx, connection) })
	defer beats.Wait()
	defer cancel()
	for {
		// After any error, a timeout too, the connection is given up: the rest of
		// half a message would be read as the next one.
		got, err := connection.ReceiveTimeout(ctx, silence)
		if err != nil {
			return
		}
		switch got := got.(type) {
		case *redis.Subscription:
			l.once.Do(func() { close(l.asked) })
		case *redis.Message:
			l.deliver([]byte(got.Payload))
		}
	}
}

// beat makes the server say something, so that silence means that it is gone.
func beat(ctx context.Context, connection *redis.PubSub) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = connection.Ping(ctx) // whether it was answered, the reader knows
		}
	}
}

func (l *redisListener) deliver(sealed []byte) {
	message, ok := l.redis.open(l.place, sealed)
	if !ok || !l.seen.first(sealed, l.redis.now()) {
		return
	}
	select {
	case l.messages <- message:
	default: // a slow reader misses it
	}
}

// seen remembers messages for as long as they could be sent again, and at most twice
// that. Its zero value is ready.
type seen struct {
	turned          time.Time
	current, before map[[sha256.Size]byte]struct{}
}

// first reports whether a sealed message comes for the first time.
func (s *seen) first(sealed []byte, now time.Time) bool {
	if s.current == nil || now.Sub(s.turned) >= messageLife {
		s.turned, s.before, s.current = now, s.current, map[[sha256.Size]byte]struct{}{}
	}
	id := sha256.Sum256(sealed)
	_, lately := s.current[id]
	_, earlier := s.before[id]
	s.current[id] = struct{}{}
	return !lately && !earlier
}
