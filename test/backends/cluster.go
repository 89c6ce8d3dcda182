package backends

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// RedisCluster is a Redis Cluster of three nodes, each with a third of the keys and
// without a replica: it stands still while one of them is away. Close it.
type RedisCluster struct {
	URL   string // names all nodes
	Nodes []*Server
}

// nodes is the smallest Cluster there is.
const nodes = 3

// StartCluster starts a new Redis Cluster with its data and logs in folders below
// dir, and returns when all its nodes agree that it is whole.
func StartCluster(dir string, options ...Option) (*RedisCluster, error) {
	members, err := newRedises(redisServer, dir, nodes)
	if err != nil {
		return nil, err
	}
	c := &RedisCluster{URL: "redis+cluster://" + addresses(members), Nodes: servers(members)}
	for _, member := range members {
		member.URL = "redis://" + address(member.port) + "/0"
	}
	var group errgroup.Group
	for _, member := range members {
		group.Go(func() error {
			lines := append(member.plain(), "cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-node-timeout 2000")
			return member.begin(append(lines, persistence(options)...))
		})
	}
	if err := group.Wait(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if err := join(members); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// join makes one Cluster of the nodes and waits until each of them says that it is whole.
func join(members []redis) error {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	create := []string{"--cluster", "create"}
	create = append(create, strings.Split(addresses(members), ",")...)
	create = append(create, "--cluster-replicas", "0", "--cluster-yes")
	if _, err := members[0].cli.ask(ctx, create...); err != nil {
		return err
	}
	for _, member := range members {
		whole := member.cli.says("cluster_state:ok", "CLUSTER", "INFO")
		if err := wait(ctx, startWithin, whole); err != nil {
			return err
		}
		member.ready = whole // from now on
	}
	return nil
}

// Close ends all nodes.
func (c *RedisCluster) Close() error { return closeAll(c.Nodes) }

// newRedises prepares several servers, each in a folder of its own.
func newRedises(p redisProgram, dir string, n int) (all []redis, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, closeAll(servers(all)))
		}
	}()
	for i := range n {
		own := filepath.Join(dir, p.name+"-"+strconv.Itoa(i+1))
		if err := os.MkdirAll(own, 0o700); err != nil {
			return nil, err
		}
		r, err := newRedis(p, own)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func servers(members []redis) []*Server {
	var all []*Server
	for _, member := range members {
		all = append(all, member.Server)
	}
	return all
}

// addresses lists where the servers are, with commas between them.
func addresses(members []redis) string {
	var all []string
	for _, member := range members {
		all = append(all, address(member.port))
	}
	return strings.Join(all, ",")
}

func closeAll(all []*Server) error {
	var err error
	for _, s := range all {
		err = errors.Join(err, s.Close())
	}
	return err
}
