package tokens

import "testing"

// TestRecentIsBounded: the newest half is always there, and never more than it holds.
func TestRecentIsBounded(t *testing.T) {
	t.Parallel()
	const most = 100
	r := newRecent[int, int](most)
	for n := range 10 * most {
		r.put(n, -n)
		held := 0
		for key := range 10 * most {
			v, found := r.get(key)
			if !found {
				if key <= n && key > n-most/2 {
					t.Fatalf("after %d: %d is gone", n, key)
				}
				continue
			}
			if held++; v != -key {
				t.Fatalf("after %d: %d is %d", n, key, v)
			}
		}
		if held > most {
			t.Fatalf("after %d: %d are held, want at most %d", n, held, most)
		}
	}
	r.put(7, 1)
	r.put(7, 2)
	if v, found := r.get(7); !found || v != 2 {
		t.Errorf("7 is %d, %v, want the last that was put", v, found)
	}
}
