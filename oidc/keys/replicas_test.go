package keys_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"signpost/oidc"
	"signpost/oidc/keys"
)

// TestRotateByTwo: somebody else replaces the head between reading and writing.
func TestRotateByTwo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first, second bool // compromised; the first comes in between
		keys          int
		old           bool // the second replaces the key that the first made
	}{
		"planned, then planned":         {false, false, 6, false},
		"planned, then compromised":     {false, true, 7, true},
		"compromised, then planned":     {true, false, 7, true},
		"compromised, then compromised": {true, true, 7, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			other := keys.New(r.store, newBox(t, 1), func() time.Time { return start }, nil)
			var first keys.Rotation
			r.store.replacing = func() {
				r.store.mu.Unlock()
				defer r.store.mu.Lock()
				var err error
				if first, err = other.Rotate(t.Context(), "example", accessES, c.first); err != nil {
					t.Errorf("the one in between: %v", err)
				}
			}
			second := r.rotate(t, accessES, c.second)
			if got := len(r.store.rows["example"]); got != c.keys {
				t.Errorf("%d keys, want %d", got, c.keys)
			}
			if c.old && second.Old != first.New || !c.old && (second.Old != "" || second.New != first.New) {
				t.Errorf("first %+v, second %+v", first, second)
			}
			if c.first || c.second {
				wantInvalid(t, r, "signed before", forge(t, jwt.SigningMethodES256, r.access.signer, map[string]any{"kid": r.access.id}, body(nil)))
			}
		})
	}
}

// outrun is a store in which somebody else is always first.
type outrun struct{ *memory }

func (outrun) ReplaceKey(context.Context, string, keys.Replacement) error {
	return fmt.Errorf("replace: %w", keys.ErrReplaced)
}

func TestRotateGivesUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	k := keys.New(outrun{r.store}, newBox(t, 1), func() time.Time { return start }, nil)
	if done, err := k.Rotate(t.Context(), "example", accessES, false); !errors.Is(err, keys.ErrReplaced) || done.New != "" {
		t.Errorf("%+v, %v, want ErrReplaced", done, err)
	}
}

// TestRotateByManyAtOnce: whatever the order, one line has one head and replicas agree.
func TestRotateByManyAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var replicas [4]*keys.Keys
	var errs [len(replicas)]error
	var wg sync.WaitGroup
	for i := range replicas {
		replicas[i] = keys.New(r.store, newBox(t, 1), func() time.Time { return start }, nil)
		wg.Go(func() {
			_, err := replicas[i].Rotate(context.Background(), "example", accessES, i%2 == 0)
			errs[i] = errors.Join(err, replicas[i].Ensure(context.Background(), "example"))
		})
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	heads := 0
	for _, row := range r.store.rows["example"] {
		if row.Use == keys.UseAccess && row.Algorithm == keys.ES256 && row.Successor == "" {
			heads++
		}
	}
	if heads != 1 {
		t.Errorf("%d keys head the line, want 1", heads)
	}
	for i, k := range replicas {
		if err := k.Ensure(t.Context(), "example"); err != nil {
			t.Fatal(err)
		}
		if got, want := signer(t, k, accessES), signer(t, replicas[0], accessES); got != want {
			t.Errorf("replica %d signs with %s, the first with %s", i, got, want)
		}
		if got, want := published(t, k), published(t, replicas[0]); !slices.Equal(got, want) {
			t.Errorf("replica %d publishes %v, the first %v", i, got, want)
		}
	}
}

// TestRotationReachesAnotherReplica: it knows nothing until it loads the keys again, and
// Count tells it to.
func TestRotationReachesAnotherReplica(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	replica := keys.New(r.store, newBox(t, 1), func() time.Time { return r.now }, nil)
	if err := replica.Ensure(t.Context(), "example"); err != nil {
		t.Fatal(err)
	}
	if got, both := replica.Count(), r.Count(); got != 5 || both != 10 {
		t.Errorf("it counts %d keys, and who has both tenants %d, want 5 and 10", got, both)
	}
	token := r.sign(t, oidc.ProfileRFC9068, keys.ES256, claims())
	done := r.rotate(t, accessES, true)
	if got := len(r.store.rows["example"]); got == replica.Count() {
		t.Errorf("the store has %d keys, and so many are known: nobody would look", got)
	}
	if err := replica.Ensure(t.Context(), "example"); err != nil {
		t.Fatal(err)
	}
	if got := signer(t, replica, accessES); got != done.New {
		t.Errorf("%s signs, want %s", got, done.New)
	}
	if _, err := replica.Verify("example", issuer, token); !errors.Is(err, keys.ErrInvalid) {
		t.Errorf("token of the compromised key: %v, want ErrInvalid", err)
	}
	if got := len(r.store.rows["example"]); got != replica.Count() {
		t.Errorf("the store has %d keys, %d are known", got, replica.Count())
	}
}

// TestRotateWithClocksThatDiffer: a replica whose clock is behind finds a line that was
// begun, and replaced, in its future.
func TestRotateWithClocksThatDiffer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.now = start.Add(-time.Hour)
	if got := signer(t, r.Keys, accessES); got != r.access.id {
		t.Errorf("before its first key signs %s signs, want %s", got, r.access.id)
	}
	done := r.rotate(t, accessES, true)
	for name, at := range map[string]time.Time{"its own time": r.now, "the time of the others": start, "an hour before": r.now.Add(-time.Hour)} {
		r.now = at
		r.ensure(t)
		if got := signer(t, r.Keys, accessES); got != done.New {
			t.Errorf("%s: %s signs, want %s", name, got, done.New)
		}
		if ids := published(t, r.Keys); slices.Contains(ids, r.access.id) || !slices.Contains(ids, done.New) {
			t.Errorf("%s: published are %v, want %s and not %s", name, ids, done.New, r.access.id)
		}
	}
	r.now = start.Add(-2 * time.Hour)
	planned := r.rotate(t, keys.Line{Use: keys.UseIntrospection, Algorithm: keys.ES256}, false)
	if planned.Old != "" {
		t.Errorf("a line that begins in the future was rotated: %+v", planned)
	}
}
