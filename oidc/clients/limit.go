package clients

import (
	"sync"

	"golang.org/x/net/publicsuffix"
)

// Bounds of documents that are read at the same time.
const (
	fetchesAtOnce         = 32
	fetchesAtOncePerOwner = 4 // slow hosts of one owner must not hold all of them
)

// ownerOf is the name under which somebody registered the host: whoever owns it makes as
// many hosts below it as they like (https://publicsuffix.org).
func ownerOf(host string) string {
	owner, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return host // it is a public suffix itself
	}
	return owner
}

// slots count what is being read. The zero value is ready for use.
type slots struct {
	mu      sync.Mutex
	taken   int
	byOwner map[string]int
}

// take takes a slot for a document of the owner, and reports whether there was one. Give it back by leave.
func (s *slots) take(owner string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= fetchesAtOnce || s.byOwner[owner] >= fetchesAtOncePerOwner {
		return false
	}
	if s.byOwner == nil {
		s.byOwner = make(map[string]int)
	}
	s.taken++
	s.byOwner[owner]++
	return true
}

func (s *slots) leave(owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.byOwner[owner]--; s.byOwner[owner] == 0 {
		delete(s.byOwner, owner)
	}
}
