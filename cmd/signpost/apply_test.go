package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// More audiences than are published are taken, and the operator is told.
func TestR30ApplyWarns(t *testing.T) {
	t.Parallel()
	var file strings.Builder
	file.WriteString("tenants:\n- name: one\n  title: One\n  services:\n")
	for n := range 201 {
		fmt.Fprintf(&file, "  - {id: s-%d, protocol: imap, endpoints: [{host: imap-%d.one.test, port: 993, security: tls}]}\n", n, n)
	}
	var out, errs bytes.Buffer
	env := []string{"SIGNPOST_DATA_DIR=" + t.TempDir()}
	code := run(t.Context(), []string{"apply", "--dry-run", "-f", "-"}, env, strings.NewReader(file.String()), &out, &errs)
	if want := "warning: tenant one: its 201 audiences are more than 200"; code != 0 || !strings.Contains(errs.String(), want) {
		t.Errorf("exit code %d, standard error %q; want 0 and %q", code, errs.String(), want)
	}
}
