package keys_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"signpost/oidc"
	"signpost/oidc/keys"
)

// compare runs two things by turns, so that whatever else the machine does slows both, and
// reports the medians of their times and what the second costs in terms of the first.
func compare(b *testing.B, bare, whole func()) {
	b.Helper()
	var times [2][]time.Duration
	b.ReportAllocs()
	for b.Loop() {
		for i, do := range []func(){bare, whole} {
			begin := time.Now()
			do()
			times[i] = append(times[i], time.Since(begin))
		}
	}
	var medians [2]float64
	for i := range times {
		slices.Sort(times[i])
		medians[i] = float64(times[i][len(times[i])/2])
	}
	b.ReportMetric(medians[0], "ns/bare")
	b.ReportMetric(medians[1], "ns/whole")
	b.ReportMetric(medians[1]/medians[0], "ratio")
}

// BenchmarkSign compares with the signature alone, in ES256.
func BenchmarkSign(b *testing.B) {
	r := newRig(b)
	private := r.access.signer.(*ecdsa.PrivateKey)
	digest := sha256.Sum256([]byte("token"))
	c, p := claims(), profile(b, oidc.ProfileRFC9068)
	compare(b, func() {
		if _, err := ecdsa.SignASN1(rand.Reader, private, digest[:]); err != nil {
			b.Fatal(err)
		}
	}, func() {
		if _, err := r.Sign("example", p, keys.ES256, c); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkVerify compares with the check of a signature alone, in ES256.
func BenchmarkVerify(b *testing.B) {
	r := newRig(b)
	private := r.access.signer.(*ecdsa.PrivateKey)
	digest := sha256.Sum256([]byte("token"))
	signature, err := ecdsa.SignASN1(rand.Reader, private, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	token := r.sign(b, oidc.ProfileRFC9068, keys.ES256, claims())
	compare(b, func() {
		if !ecdsa.VerifyASN1(&private.PublicKey, digest[:], signature) {
			b.Fatal("not verified")
		}
	}, func() {
		if _, err := r.Verify("example", issuer, token); err != nil {
			b.Fatal(err)
		}
	})
}
