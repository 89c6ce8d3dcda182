package service

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeCertificate writes a pair with a serial number, as of a time.
func writeCertificate(t *testing.T, c Config, serial int64, written time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: written.Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeAt(t, c.TLSCert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), written)
	writeAt(t, c.TLSKey, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), written)
}

func writeAt(t *testing.T, name string, content []byte, written time.Time) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, written, written); err != nil {
		t.Fatal(err)
	}
}

// TestRenewedCertificateIsTakenUp: within a minute, and a broken one never.
func TestRenewedCertificateIsTakenUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := Config{TLSCert: filepath.Join(dir, "cert.pem"), TLSKey: filepath.Join(dir, "key.pem")}
	now := time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	clock := func() time.Time { return now }
	if _, err := loadCertificate(c, clock, logger); err == nil || !strings.Contains(err.Error(), "cert.pem") {
		t.Errorf("a certificate that is not there: %v, want an error that names it", err)
	}
	writeCertificate(t, c, 1, now)
	k, err := loadCertificate(c, clock, logger)
	if err != nil {
		t.Fatal(err)
	}
	serves := func(want int64, when string) {
		t.Helper()
		got, err := k.get(&tls.ClientHelloInfo{})
		if err != nil || got.Leaf.SerialNumber.Int64() != want {
			t.Errorf("%s: certificate %v, %v, want %d", when, got.Leaf.SerialNumber, err, want)
		}
	}
	serves(1, "at first")
	writeCertificate(t, c, 2, now.Add(time.Second))
	now = now.Add(lookEvery - time.Second)
	serves(1, "before a minute is over")
	now = now.Add(time.Second)
	serves(2, "after a minute")

	writeAt(t, c.TLSKey, []byte("half a key"), now)
	now = now.Add(lookEvery)
	serves(2, "with a broken key")
	if !strings.Contains(log.String(), "the old one goes on") {
		t.Errorf("nothing is logged of the broken key: %s", &log)
	}
	if err := os.Remove(c.TLSCert); err != nil {
		t.Fatal(err)
	}
	now = now.Add(lookEvery)
	serves(2, "with a file that is gone")
	writeCertificate(t, c, 3, now)
	now = now.Add(lookEvery)
	serves(3, "when it is whole again")
}
