package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite" // the driver
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
			e.Setenv("AUTHORIZE", "https://127.0.0.1:"+port+"/authorize?"+url.Values{
				"client_id": {"open"}, "response_type": {"code"}, "redirect_uri": {"http://127.0.0.1/cb"}, "scope": {"openid"},
				"code_challenge": {strings.Repeat("x", 43)}, "code_challenge_method": {"S256"},
			}.Encode())
			e.Setenv("SIGNPOST_DATA_DIR", filepath.Join(e.WorkDir, "data"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await":       await,
			"certificate": certificate,
			"header":      header,
			"sql":         execSQL,
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
		res, err := trusting.Get(args[0])
		if err == nil {
			_ = res.Body.Close() // only the status counts
			if last = fmt.Sprint(res.StatusCode); last == want {
				return
			}
		}
	}
	ts.Fatalf("%s answered %s, want %s", args[0], last, want)
}

// trusting believes every certificate: those of the scripts are made on the spot.
var trusting = &http.Client{Transport: &http.Transport{
	TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
}}

// header URL NAME REGEXP: the answer has a header of this name that matches.
func header(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: header URL NAME REGEXP")
	}
	res, err := trusting.Get(args[0])
	ts.Check(err)
	ts.Check(res.Body.Close())
	pattern, err := regexp.Compile(args[2])
	ts.Check(err)
	if values := res.Header.Values(args[1]); !slices.ContainsFunc(values, pattern.MatchString) {
		ts.Fatalf("%s answered %d with %s %q, want one like %s", args[0], res.StatusCode, args[1], values, args[2])
	}
}

// certificate CERT KEY: writes a certificate for 127.0.0.1 and its key.
func certificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: certificate CERT KEY")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	for name, block := range map[string]*pem.Block{
		args[0]: {Type: "CERTIFICATE", Bytes: cert},
		args[1]: {Type: "PRIVATE KEY", Bytes: private},
	} {
		ts.Check(os.WriteFile(ts.MkAbs(name), pem.EncodeToMemory(block), 0o600))
	}
}

// sql FILE: runs statements past the service, to have what it takes a person and a browser to make.
func execSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sql FILE")
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(ts.Getenv("SIGNPOST_DATA_DIR"), "signpost.db")+"?_pragma=busy_timeout(10000)")
	ts.Check(err)
	_, err = db.Exec(ts.ReadFile(args[0]))
	ts.Check(errors.Join(err, db.Close()))
}
