package backends

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// redisProgram is a program of Redis and the Debian package that has it.
type redisProgram struct{ name, debianPackage string }

var (
	redisServer   = redisProgram{"redis-server", "redis-server"}
	redisSentinel = redisProgram{"redis-sentinel", "redis-sentinel"}
	redisCLI      = redisProgram{"redis-cli", "redis-tools"}
)

// StartRedis starts a new Redis. Its data and its log are in dir, which must exist
// and hold no other one. Without Durable it has forgotten everything when it is
// started again, as a cache may.
func StartRedis(dir string, options ...Option) (*Server, error) {
	r, err := newRedis(redisServer, dir)
	if err != nil {
		return nil, err
	}
	r.URL = "redis://" + address(r.port) + "/0"
	if err := r.begin(slices.Concat(r.plain(), persistence(options))); err != nil {
		return nil, err
	}
	return r.Server, nil
}

// redis is a server of Redis that is being prepared.
type redis struct {
	*Server
	port int
	cli  redisTool
}

// newRedis finds the program and a port. The server is to be given a URL and begun.
func newRedis(p redisProgram, dir string) (r redis, err error) {
	path, err := onPath(p.name, p.debianPackage)
	if err != nil {
		return r, err
	}
	tool, err := onPath(redisCLI.name, redisCLI.debianPackage)
	if err != nil {
		return r, err
	}
	number, err := version(program{path: path}, "Redis")
	if err != nil {
		return r, err
	}
	port, release, err := reserve()
	if err != nil {
		return r, err
	}
	r = redis{
		Server: &Server{Version: number, Log: filepath.Join(dir, p.name+".log"), released: []func() error{release}},
		port:   port,
		cli:    redisTool{program: program{path: tool, args: []string{"-h", "127.0.0.1", "-p", strconv.Itoa(port)}}},
	}
	r.program = program{path: path, args: []string{configFile(dir)}, dir: dir}
	r.ready = r.cli.says("PONG", "PING")
	return r, nil
}

// plain is what a Redis is told that speaks without TLS.
func (r redis) plain() []string {
	return []string{"port " + strconv.Itoa(r.port), "bind 127.0.0.1", "dir " + strconv.Quote(r.program.dir)}
}

// persistence is what a Redis is told about its disk.
func persistence(options []Option) []string {
	if slices.Contains(options, Durable) {
		return []string{`save ""`, "appendonly yes", "appendfsync always"}
	}
	return []string{`save ""`}
}

// begin writes the configuration and starts the server for the first time.
func (r redis) begin(lines []string) error {
	text := strings.Join(lines, "\n") + "\n"
	err := os.WriteFile(configFile(r.program.dir), []byte(text), 0o600)
	if err == nil {
		err = r.Start()
	}
	if err != nil {
		return errors.Join(err, r.Close())
	}
	return nil
}

func configFile(dir string) string { return filepath.Join(dir, "redis.conf") }

// redisTool is redis-cli with what it needs to reach one server.
type redisTool struct {
	program program
	env     []string
}

// ask sends one command and returns what is answered.
func (r redisTool) ask(ctx context.Context, command ...string) (string, error) {
	p := r.program
	p.args = slices.Concat(p.args, command)
	return p.run(ctx, r.env...)
}

// says returns a function that finds nothing wrong when the answer to a command
// has the wanted words in it.
func (r redisTool) says(wanted string, command ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		answer, err := r.ask(ctx, command...)
		if err != nil {
			return err
		}
		if !strings.Contains(answer, wanted) {
			return fmt.Errorf("%s: no %q in the answer %q", strings.Join(command, " "), wanted, answer)
		}
		return nil
	}
}
