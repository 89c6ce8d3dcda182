package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"signpost": main})
}

// TestScripts runs a scenario for every command. A script has $PORT, a port that was
// free when it began, and the command await, which waits until a URL answers.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			port, err := freePort()
			if err != nil {
				return err
			}
			e.Setenv("PORT", port)
			e.Setenv("SIGNPOST_DATA_DIR", filepath.Join(e.WorkDir, "data"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await": await,
		},
	})
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// patience is how long a script waits for a server that starts on a busy machine.
const patience = 60 * time.Second

// await URL [STATUS], await FILE: waits until the URL answers with the status, 200 if none
// is given, or until the file is there.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: await URL [STATUS] or await FILE")
	}
	want := "200"
	if len(args) == 2 {
		want = args[1]
	}
	last := "nothing"
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
		if !strings.HasPrefix(args[0], "http") {
			if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
				return
			}
			continue
		}
		res, err := http.Get(args[0])
		if err == nil {
			_ = res.Body.Close() // only the status counts
			if last = fmt.Sprint(res.StatusCode); last == want {
				return
			}
		}
	}
	ts.Fatalf("%s answered %s, want %s", args[0], last, want)
}
