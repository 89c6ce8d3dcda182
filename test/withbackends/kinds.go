package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"signpost/test/backends"
)

// server is one that runs.
type server struct {
	io.Closer
	kind, version string
	environment   []string // where it is
	took          time.Duration
}

// starters start one server of each kind in an empty folder.
var starters = []func(dir string) (server, error){postgres, redis, tlsRedis, sentinel, cluster}

// start starts them all at once. It returns those that run also with an error.
func start(dir string) ([]server, error) {
	all := make([]server, len(starters))
	var group errgroup.Group
	for i, starter := range starters {
		group.Go(func() error {
			own := filepath.Join(dir, fmt.Sprint(i))
			if err := os.Mkdir(own, 0o700); err != nil {
				return err
			}
			began := time.Now()
			s, err := starter(own)
			s.took = time.Since(began)
			all[i] = s
			return err
		})
	}
	err := group.Wait()
	var running []server
	for _, s := range all {
		if s.Closer != nil {
			running = append(running, s)
		}
	}
	return running, err
}

func postgres(dir string) (server, error) {
	s, err := backends.StartPostgres(dir)
	if err != nil {
		return server{}, err
	}
	return server{Closer: s, kind: "database", version: s.Version, environment: []string{backends.PostgresVariable + "=" + s.URL}}, nil
}

func redis(dir string) (server, error) {
	s, err := backends.StartRedis(dir)
	if err != nil {
		return server{}, err
	}
	return server{Closer: s, kind: "cache", version: s.Version, environment: []string{backends.RedisVariable + "=" + s.URL}}, nil
}

func tlsRedis(dir string) (server, error) {
	s, caFile, err := backends.StartTLSRedis(dir)
	if err != nil {
		return server{}, err
	}
	return server{Closer: s, kind: "cache behind TLS", version: s.Version, environment: []string{
		backends.TLSVariable + "=" + s.URL, backends.CAVariable + "=" + caFile,
	}}, nil
}

func sentinel(dir string) (server, error) {
	s, err := backends.StartSentinel(dir)
	if err != nil {
		return server{}, err
	}
	return server{Closer: s, kind: "cache with Sentinel", version: s.Master.Version, environment: []string{
		backends.SentinelVariable + "=" + s.URL,
	}}, nil
}

func cluster(dir string) (server, error) {
	c, err := backends.StartCluster(dir)
	if err != nil {
		return server{}, err
	}
	return server{Closer: c, kind: "cache as Cluster", version: c.Nodes[0].Version, environment: []string{
		backends.ClusterVariable + "=" + c.URL,
	}}, nil
}
