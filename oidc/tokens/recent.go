package tokens

import "sync"

// atMost is how many entries each memory of a process holds: about 16 MiB of tokens
// and their claims, and what a busy server sees in a minute.
const atMost = 16_384

// recent remembers the last things that were kept, in two generations: when the young one
// is full it becomes the old one, and the old one goes. What is in it may be gone at any
// time, and whether it is still true is the reader's to judge.
type recent[K comparable, V any] struct {
	mu         sync.RWMutex
	generation int // entries of one
	young, old map[K]V
}

// newRecent holds at most so many entries.
func newRecent[K comparable, V any](atMost int) *recent[K, V] {
	return &recent[K, V]{generation: atMost / 2, young: map[K]V{}}
}

func (r *recent[K, V]) get(key K) (V, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if v, ok := r.young[key]; ok {
		return v, true
	}
	v, ok := r.old[key]
	return v, ok
}

func (r *recent[K, V]) put(key K, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.young) >= r.generation {
		r.young, r.old = map[K]V{}, r.young
	}
	r.young[key] = v
}
