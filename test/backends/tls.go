package backends

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Redis behind TLS: who may come in, and the files beside its data.
const (
	limited = "signpost" // the user that the URL names
	// limits are all that user may do: what package cache names, and no more. It sees no
	// key and no channel of anybody else.
	limits = "resetchannels ~signpost:* &signpost:* -@all" +
		" +get +getrange +strlen +set +del +getdel +eval +evalsha +time" +
		" +publish +subscribe +unsubscribe +ping +hello +auth +select +client|setname"

	authorityFile   = "ca.pem"
	certificateFile = "redis.pem"
	keyFile         = "redis.key"
)

// StartTLSRedis starts a new Redis in dir that speaks TLS alone. The user in its
// URL may do no more than Signpost needs; everybody else must know a password that
// nobody is told. caFile holds the authority that signed its certificate.
func StartTLSRedis(dir string, options ...Option) (s *Server, caFile string, err error) {
	if err := writeCertificate(dir); err != nil {
		return nil, "", err
	}
	r, err := newRedis(redisServer, dir)
	if err != nil {
		return nil, "", err
	}
	caFile = filepath.Join(dir, authorityFile)
	admin, password := rand.Text(), rand.Text()
	r.URL = (&url.URL{Scheme: "rediss", User: url.UserPassword(limited, password), Host: address(r.port), Path: "/0"}).String()
	r.cli.program.args = append(r.cli.program.args, "--tls", "--cacert", caFile)
	r.cli.env = []string{"REDISCLI_AUTH=" + admin}
	r.ready = r.cli.says("PONG", "PING")
	lines := append(persistence(options),
		"port 0", "tls-port "+strconv.Itoa(r.port), "bind 127.0.0.1", "dir "+strconv.Quote(dir),
		"tls-cert-file "+certificateFile, "tls-key-file "+keyFile, "tls-ca-cert-file "+authorityFile, "tls-auth-clients no",
		"requirepass "+admin,
		"user "+limited+" on >"+password+" "+limits)
	if err := r.begin(lines); err != nil {
		return nil, "", err
	}
	return r.Server, caFile, nil
}

// writeCertificate makes an authority and a certificate of it for 127.0.0.1.
func writeCertificate(dir string) error {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Authority of a test"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Redis of a test"},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), authorityKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(filepath.Join(dir, authorityFile), "CERTIFICATE", authorityDER),
		writePEM(filepath.Join(dir, certificateFile), "CERTIFICATE", leafDER),
		writePEM(filepath.Join(dir, keyFile), "PRIVATE KEY", keyDER))
}

func writePEM(file, kind string, der []byte) error {
	var text bytes.Buffer
	if err := pem.Encode(&text, &pem.Block{Type: kind, Bytes: der}); err != nil {
		return err
	}
	return os.WriteFile(file, text.Bytes(), 0o600)
}
