package server_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestGuideForAppPasswords runs the program that the guide gives to servers without Lua, as Dovecot does: name and
// password come on descriptor 3, and its exit code says what they are worth.
func TestGuideForAppPasswords(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatalf("the guide's program needs curl: %v; install it", err)
	}
	s := startPasswords(t)
	_, password := passwordFor(t, s, imapHost)
	folder := t.TempDir()
	guide, err := os.ReadFile("../docs/guides/app-passwords.md")
	must(t, err)
	_, script, found := strings.Cut(string(guide), "```sh\n#!/bin/sh\n")
	script, _, closed := strings.Cut(script, "```")
	if !found || !closed {
		t.Fatal("the guide has no program for sh")
	}
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	credentials := write("signpost.curl", `user = "`+mailServer+`:`+secretMail+`"`+"\n")
	strangers := write("stranger.curl", `user = "`+mailServer+`:wrong"`+"\n")
	at := func(issuer, config string) string {
		return strings.NewReplacer("https://id.example.com", issuer, "/etc/dovecot/signpost.curl", config).Replace(script)
	}
	for name, c := range map[string]struct {
		script, username, password string
		exit                       int
		says                       string
	}{
		"right":             {at(s.URL, credentials), aliceAddress, password, 0, "in as " + aliceAddress + "\n"},
		"wrong":             {at(s.URL, credentials), aliceAddress, otherSecret(password), 1, ""},
		"strange":           {at(s.URL, credentials), aliceAddress, `"$(id)" & % + ä \`, 1, ""},
		"wrong name":        {at(s.URL, credentials), `bob"; exit 0 #`, password, 1, ""},
		"wrong credentials": {at(s.URL, strangers), aliceAddress, password, 111, ""},
		"nobody there":      {at("http://127.0.0.1:1", credentials), aliceAddress, password, 111, ""},
	} {
		reader, writer, err := os.Pipe()
		must(t, err)
		_, err = writer.WriteString(c.username + "\x00" + c.password + "\x00" + "1700000000\x00")
		must(t, err)
		must(t, writer.Close())
		cmd := exec.CommandContext(t.Context(), "sh", "-c", c.script, "signpost-checkpassword", "sh", "-c", `echo "in as $USER"`)
		cmd.ExtraFiles = []*os.File{reader}
		cmd.Env = append(os.Environ(), "TCPREMOTEIP=192.0.2.7", "no_proxy=127.0.0.1")
		out, err := cmd.Output()
		must(t, reader.Close())
		if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != c.exit || string(out) != c.says {
			t.Errorf("%s: exit %d, %q; want %d, %q", name, got, out, c.exit, c.says)
		}
	}
}
