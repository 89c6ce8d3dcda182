package clients_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"

	"code.dny.dev/ssrf"
	"golang.org/x/net/dns/dnsmessage"

	"signpost/oidc/clients"
)

// names is a DNS server within the process: every name has the one address.
type names struct {
	address netip.Addr
	t       testing.TB
}

// resolver asks over a pipe, which is a stream: two bytes of length before each message
// (RFC 1035, section 4.2.2).
func (n names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go n.serve(theirs)
		return ours, nil
	}}
}

func (n names) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		question := make([]byte, int(size[0])<<8|int(size[1]))
		if _, err := io.ReadFull(conn, question); err != nil {
			return
		}
		answer, err := n.answer(question)
		if err != nil {
			n.t.Errorf("DNS: %v", err)
			return
		}
		if _, err := conn.Write(append([]byte{byte(len(answer) >> 8), byte(len(answer))}, answer...)); err != nil {
			return
		}
	}
}

func (n names) answer(question []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return nil, err
	}
	m.Response, m.Additionals = true, nil
	q := m.Questions[0]
	header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}
	switch {
	case q.Type == dnsmessage.TypeA && n.address.Is4():
		m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: n.address.As4()}}}
	case q.Type == dnsmessage.TypeAAAA && !n.address.Is4():
		m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AAAAResource{AAAA: n.address.As16()}}}
	}
	return m.Pack()
}

// TestR15NamesThatLeadInside: the address is checked when it is dialled, whatever name had it.
func TestR15NamesThatLeadInside(t *testing.T) {
	t.Parallel()
	r := realm(t, "example", nil)
	for _, address := range []string{
		"127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
		"64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1", "2001::1", "2001:db8::1", "100::1",
	} {
		resolver := names{netip.MustParseAddr(address), t}.resolver()
		_, err := clients.PublicDial(resolver)(t.Context(), "tcp", "inside.example.com:443")
		if !errors.Is(err, ssrf.ErrProhibitedIP) {
			t.Errorf("a name with the address %s: %v, want it prohibited", address, err)
		}
		c := newRig(t)
		c.Fetch = clients.NewFetch(clients.PublicDial(resolver), nil)
		unavailable(t, c.Clients, r, "https://inside.example.com/client.json")
	}
}

func TestR15Port443Alone(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"192.0.2.1:80", "198.41.0.4:8443", "198.41.0.4:80", "[2620:fe::fe]:22"} {
		if _, err := clients.PublicDial(nil)(t.Context(), "tcp", address); !errors.Is(err, ssrf.ErrProhibitedPort) {
			t.Errorf("%s: %v, want the port prohibited", address, err)
		}
	}
	if _, err := clients.PublicDial(nil)(t.Context(), "udp", "198.41.0.4:443"); !errors.Is(err, ssrf.ErrProhibitedNetwork) {
		t.Errorf("UDP: %v, want the network prohibited", err)
	}
}
