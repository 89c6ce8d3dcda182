package backends

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
)

// RedisSentinel is a Redis with one replica, which three sentinels put in its place
// when it has been away for a second. Close it.
type RedisSentinel struct {
	URL       string // names all sentinels
	Master    *Server
	Replica   *Server
	Sentinels []*Server
}

const (
	watched   = "signpost" // how the sentinels call what they watch
	sentinels = 3
	quorum    = 2 // how many sentinels must agree that the master is away
)

// StartSentinel starts a new Redis, its replica and its sentinels with their data and
// logs in folders below dir, and returns when all of them know each other.
func StartSentinel(dir string, options ...Option) (_ *RedisSentinel, err error) {
	data, err := newRedises(redisServer, dir, 2)
	if err != nil {
		return nil, err
	}
	watchers, err := newRedises(redisSentinel, dir, sentinels)
	if err != nil {
		return nil, errors.Join(err, closeAll(servers(data)))
	}
	s := &RedisSentinel{
		URL:    "redis+sentinel://" + addresses(watchers) + "/0?master=" + watched,
		Master: data[0].Server, Replica: data[1].Server, Sentinels: servers(watchers),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	for _, r := range slices.Concat(data, watchers) {
		r.URL = "redis://" + address(r.port) + "/0"
	}
	if err := beginPair(data[0], data[1], options); err != nil {
		return nil, err
	}
	if err := beginWatch(watchers, data[0]); err != nil {
		return nil, err
	}
	return s, nil
}

// beginPair starts the master and its replica and waits until they agree.
func beginPair(master, replica redis, options []Option) error {
	// Otherwise a master waits for 5 s whether more replicas come.
	common := append(persistence(options), "repl-diskless-sync-delay 0")
	if err := master.begin(slices.Concat(master.plain(), common)); err != nil {
		return err
	}
	replicaOf := fmt.Sprintf("replicaof 127.0.0.1 %d", master.port)
	if err := replica.begin(slices.Concat(replica.plain(), common, []string{replicaOf})); err != nil {
		return err
	}
	return wait(context.Background(), startWithin, replica.cli.says("master_link_status:up", "INFO", "replication"))
}

// beginWatch starts the sentinels and waits until each knows the replica and the
// other sentinels: from then on they can do their work.
func beginWatch(watchers []redis, master redis) error {
	var group errgroup.Group
	for _, watcher := range watchers {
		group.Go(func() error {
			return watcher.begin(append(watcher.plain(),
				fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d %d", watched, master.port, quorum),
				fmt.Sprintf("sentinel down-after-milliseconds %s 1000", watched),
				fmt.Sprintf("sentinel failover-timeout %s 3000", watched)))
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	complete := fmt.Sprintf("status=ok,address=127.0.0.1:%d,slaves=1,sentinels=%d", master.port, sentinels)
	for _, watcher := range watchers {
		if err := wait(context.Background(), startWithin, watcher.cli.says(complete, "INFO", "sentinel")); err != nil {
			return err
		}
	}
	return nil
}

// Close ends them all, the sentinels first: nobody is to be put in the master's place.
func (s *RedisSentinel) Close() error {
	return errors.Join(closeAll(s.Sentinels), s.Replica.Close(), s.Master.Close())
}
