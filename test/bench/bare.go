package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"time"
)

// bareCommand makes this program the server that Signpost is compared with.
const bareCommand = "bare"

// Its paths.
const (
	pathExchange = "/exchange" // verifies once and signs once
	pathVerify   = "/verify"   // verifies once
	pathSign     = "/sign"     // signs once
	pathMade     = "/made"     // answers with a token that was made before
	pathActive   = "/active"   // answers as pathVerify does, at once
)

const (
	coordinate = 32 // bytes of one half of an ES256 signature (RFC 7518, section 3.4)

	bareIssuer = "https://bare.example.test"
	barePerson = "5SYGEYBKJP3AJ7Y2LC3GU2JOWM"
	barePlace  = "https://service.example.test/"
	bareScope  = "urn:signpost:scope:files"
	bareHeader = `{"alg":"ES256","kid":"bare","typ":"at+jwt"}`
	bareRest   = `","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":900,"scope":"` + bareScope + `"}` // behind the token
	bareActive = `{"active":true}`
)

// bare answers with the cryptography of an exchange and nothing else: it reads no form, decides
// nothing, remembers nothing and writes nothing down. What it verifies is always the same
// token, and so are the claims that it signs.
type bare struct {
	key      *ecdsa.PrivateKey
	unsigned string   // header and claims
	r, s     *big.Int // the signature of what is verified
	made     []byte   // a token
}

func newBare() (*bare, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now().Unix()
	payload := fmt.Sprintf(`{"iss":%q,"sub":%q,"aud":%q,"exp":%d,"iat":%d,"jti":"ZRM4XJ7AQ5KDBHXTGF3SJ2OLVE","client_id":"bench","scope":%q}`,
		bareIssuer, barePerson, barePlace, now+3600, now, bareScope)
	b := &bare{
		key:      key,
		unsigned: base64.RawURLEncoding.EncodeToString([]byte(bareHeader)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)),
	}
	sum := sha256.Sum256([]byte(b.unsigned))
	if b.r, b.s, err = ecdsa.Sign(rand.Reader, key, sum[:]); err != nil {
		return nil, err
	}
	b.made, err = b.sign()
	return b, err
}

// verify makes one ES256 verification, with the hash that belongs to it.
func (b *bare) verify() bool {
	sum := sha256.Sum256([]byte(b.unsigned))
	return ecdsa.Verify(&b.key.PublicKey, sum[:], b.r, b.s)
}

// sign makes one ES256 signature and returns the token.
func (b *bare) sign() ([]byte, error) {
	sum := sha256.Sum256([]byte(b.unsigned))
	r, s, err := ecdsa.Sign(rand.Reader, b.key, sum[:])
	if err != nil {
		return nil, err
	}
	var raw [2 * coordinate]byte
	r.FillBytes(raw[:coordinate])
	s.FillBytes(raw[coordinate:])
	return base64.RawURLEncoding.AppendEncode([]byte(b.unsigned+"."), raw[:]), nil
}

func (b *bare) exchange(w http.ResponseWriter, r *http.Request) {
	if !b.verify() {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.signOnly(w, r)
}

func (b *bare) signOnly(w http.ResponseWriter, _ *http.Request) {
	token, err := b.sign()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	give(w, token)
}

func (b *bare) giveMade(w http.ResponseWriter, _ *http.Request) { give(w, b.made) }

func give(w http.ResponseWriter, token []byte) {
	answer := append([]byte(`{"access_token":"`), token...)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(answer, bareRest...))
}

func (b *bare) verifyOnly(w http.ResponseWriter, _ *http.Request) {
	if !b.verify() {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	active(w, nil)
}

func active(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, bareActive)
}

// serveBare is the bare server's process. It says on a line where it listens and what its
// public key is, and serves until it is told to end.
func serveBare(ctx context.Context, out io.Writer) error {
	b, err := newBare()
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&b.key.PublicKey)
	if err != nil {
		return err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathExchange, b.exchange)
	mux.HandleFunc(pathVerify, b.verifyOnly)
	mux.HandleFunc("POST "+pathSign, b.signOnly)
	mux.HandleFunc("POST "+pathMade, b.giveMade)
	mux.HandleFunc(pathActive, active)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: patience}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	fmt.Fprintf(out, "%s %s\n", listener.Addr(), base64.StdEncoding.EncodeToString(public))
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
