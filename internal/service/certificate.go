package service

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often the files of the certificate are looked at.
const lookEvery = time.Minute

// certificate is the server's certificate, which is renewed by whoever writes new
// files: a handshake looks at most once a minute whether they changed.
type certificate struct {
	certFile, keyFile string
	now               func() time.Time
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	written [2]time.Time // when the files were written that were read last
	looked  time.Time
}

// loadCertificate reads the files for the first time.
func loadCertificate(c Config, now func() time.Time, log *slog.Logger) (*certificate, error) {
	k := &certificate{certFile: c.TLSCert, keyFile: c.TLSKey, now: now, log: log, looked: now()}
	var err error
	if k.written, err = k.times(); err != nil {
		return nil, err
	}
	k.current, err = k.read()
	return k, err
}

func (k *certificate) read() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(k.certFile, k.keyFile)
	if err != nil {
		return nil, fmt.Errorf("load the certificate (tls_cert %s, tls_key %s): %w", k.certFile, k.keyFile, err)
	}
	return &pair, nil
}

func (k *certificate) times() (written [2]time.Time, err error) {
	for i, name := range []string{k.certFile, k.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return written, fmt.Errorf("look at the certificate: %w", err)
		}
		written[i] = info.ModTime()
	}
	return written, nil
}

// get is tls.Config.GetCertificate. While new files cannot be used, as in the
// moment when one of the two is written, the old certificate is used.
func (k *certificate) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.now().Sub(k.looked) < lookEvery {
		return k.current, nil
	}
	k.looked = k.now()
	written, err := k.times()
	if err == nil && written == k.written {
		return k.current, nil
	}
	var renewed *tls.Certificate
	if err == nil {
		renewed, err = k.read()
	}
	if err != nil {
		k.log.ErrorContext(hello.Context(), "the renewed certificate cannot be used: the old one goes on", "err", err)
		return k.current, nil
	}
	k.current, k.written = renewed, written
	k.log.InfoContext(hello.Context(), "the certificate was renewed")
	return k.current, nil
}
