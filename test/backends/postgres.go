package backends

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// superuser may do everything on a PostgreSQL that we start, and is the user of
// this machine as whom it runs where we are root, which PostgreSQL refuses.
const superuser = "postgres"

// StartPostgres starts a new PostgreSQL. Its log is in dir, which must exist; its
// data are in a folder of their own, because the user as whom it runs where we are
// root cannot enter the folders of tests.
func StartPostgres(dir string, options ...Option) (_ *Server, err error) {
	initdb, err := postgresProgram("initdb")
	if err != nil {
		return nil, err
	}
	postgres, err := postgresProgram("postgres")
	if err != nil {
		return nil, err
	}
	s := &Server{Version: "PostgreSQL", Log: filepath.Join(dir, "postgres.log")}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	user, err := unprivileged(superuser)
	if err != nil {
		return nil, fmt.Errorf("find as whom PostgreSQL runs: %w", err)
	}
	folder, err := os.MkdirTemp("", "signpost-postgres-")
	if err != nil {
		return nil, err
	}
	s.released = append(s.released, func() error { return os.RemoveAll(folder) })
	if err := user.own(folder); err != nil {
		return nil, err
	}
	port, release, err := reserve()
	if err != nil {
		return nil, err
	}
	s.released = append(s.released, release)

	password := rand.Text()
	data := filepath.Join(folder, "data")
	if err := initialise(program{path: initdb, dir: folder, user: user}, data, password); err != nil {
		return nil, fmt.Errorf("make a database cluster in %s, which user %s must be able to enter: %w", folder, superuser, err)
	}
	s.program = program{
		path: postgres, args: postgresArgs(data, port, slices.Contains(options, Durable)), dir: folder, user: user,
		quit: syscall.SIGQUIT, // at once, and gives back the shared memory that a killed one leaves
	}
	if s.Version, err = version(program{path: postgres}, "PostgreSQL"); err != nil {
		return nil, err
	}
	s.URL = (&url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, password), Host: address(port), Path: "/postgres", RawQuery: "sslmode=disable",
	}).String()
	s.ready = func(ctx context.Context) error { return postgresAnswers(ctx, s.URL) }
	if err := s.Start(); err != nil {
		return nil, err
	}
	return s, nil
}

// initialise makes the data folder.
func initialise(initdb program, data, password string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	passwordFile := filepath.Join(initdb.dir, "password")
	if err := os.WriteFile(passwordFile, []byte(password), 0o600); err != nil {
		return err
	}
	defer os.Remove(passwordFile)
	if err := initdb.user.own(passwordFile); err != nil {
		return err
	}
	initdb.args = []string{
		"--pgdata=" + data, "--username=" + superuser, "--pwfile=" + passwordFile,
		"--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync",
	}
	_, err := initdb.run(ctx)
	return err
}

func postgresArgs(data string, port int, durable bool) []string {
	settings := []string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(port), "unix_socket_directories=",
		"max_connections=400", // many tests at once, each with pools of its own
	}
	if !durable {
		settings = append(settings, "fsync=off", "full_page_writes=off")
	}
	args := []string{"-D", data}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	return args
}

func postgresAnswers(ctx context.Context, url string) error {
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer db.Close(ctx)
	return db.Ping(ctx)
}

// version asks a program for its version and returns the name with the number.
func version(p program, name string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	p.args = []string{"--version"}
	text, err := p.run(ctx)
	if err != nil {
		return "", err
	}
	// "postgres (PostgreSQL) 15.18 (Debian ...)", "Redis server v=7.0.15 sha=...".
	for _, word := range strings.Fields(text) {
		word = strings.TrimPrefix(word, "v=")
		if word[0] >= '0' && word[0] <= '9' {
			return name + " " + word, nil
		}
	}
	return "", fmt.Errorf("%s --version prints no version: %q", p.path, text)
}
