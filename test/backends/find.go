package backends

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// postgresFolders is where Debian keeps PostgreSQL, one folder for each version.
const postgresFolders = "/usr/lib/postgresql/*/bin"

// postgresProgram finds a program of the newest PostgreSQL.
func postgresProgram(name string) (string, error) {
	found, err := filepath.Glob(filepath.Join(postgresFolders, name))
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return onPath(name, "postgresql")
	}
	return slices.MaxFunc(found, func(a, b string) int { return major(a) - major(b) }), nil
}

var majorVersion = regexp.MustCompile(`/postgresql/(\d+)/bin/`)

func major(path string) int {
	match := majorVersion.FindStringSubmatch(path)
	if match == nil {
		return 0
	}
	n, _ := strconv.Atoi(match[1]) // digits
	return n
}

// onPath finds a program, and otherwise says where it comes from.
func onPath(name, debianPackage string) (string, error) {
	found, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("no %s: %w; install Debian's package %s", name, err, debianPackage)
	}
	return found, nil
}

// Ports are taken from below those that the kernel gives to outgoing connections
// (32768 and above), so that one is still free when its server is started again.
const (
	firstPort = 12000
	ports     = 10000
	busOffset = 10000 // a node of a Cluster speaks with the others on its port and 10000
	tries     = 100
)

// reserve finds a port on which nobody listens, nor on that of the Cluster's bus
// above it. It stays ours, also against other test processes and while the server
// is down, until release is called: we hold the UDP port of the same number, which
// no server here uses.
func reserve() (port int, release func() error, err error) {
	for range tries {
		port = firstPort + rand.IntN(ports)
		if release, err = hold(port); err == nil {
			return port, release, nil
		}
	}
	return 0, nil, fmt.Errorf("no free port from %d to %d: %w", firstPort, firstPort+ports-1, err)
}

func hold(port int) (release func() error, err error) {
	config := &net.ListenConfig{}
	ctx := context.Background()
	mark, err := config.ListenPacket(ctx, "udp", address(port))
	if err != nil {
		return nil, err
	}
	for _, p := range []int{port, port + busOffset} {
		l, err := config.Listen(ctx, "tcp", address(p))
		if err == nil {
			err = l.Close()
		}
		if err != nil {
			return nil, errors.Join(err, mark.Close())
		}
	}
	return mark.Close, nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
