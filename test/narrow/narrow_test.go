package narrow_test

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	chainsFlag = flag.Int("chains", 0, "how many chains to try; 0 is 500, or 5000 where all tests are wanted")
	seedFlag   = flag.Uint64("seed", 0, "seed of the worlds; 0 is another one each time")
	worldFlag  = flag.Int("world", -1, "the one world to try, with the seed that was printed")
)

// chainsPerWorld is how many stories are told in one world.
const chainsPerWorld = 50

// chains is how many chains to try.
func chains() int {
	switch {
	case *chainsFlag > 0:
		return *chainsFlag
	case os.Getenv("CI") != "" || os.Getenv("SIGNPOST_TEST_ALL") != "":
		return 5000
	}
	return 500
}

// undecided are rules of the policy that decide nothing here, and why.
var undecided = map[string]string{
	"tenant":      "the store and the keys know no other tenant's sign-ins and tokens, so the policy is not asked",
	"allow-alive": "it is for resource servers that ask, not for making tokens",
}

// TestR22NeverWidens goes random ways through the authorization server. Nothing that it makes lies
// outside of what was presented for it, says an oracle that knows nothing of the policy; every rule
// has decided; and a good part of the requests was refused.
func TestR22NeverWidens(t *testing.T) {
	t.Parallel()
	n, seed := chains(), *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("%d chains with seed %d", n, seed)
	total := explore(t, n, seed)
	t.Logf("accepted and refused by each rule, seed %d:\n%s", seed, total)
	if *worldFlag >= 0 {
		return
	}
	if accepted, refused := total.sum(); refused*5 < accepted+refused || accepted*5 < accepted+refused {
		t.Errorf("%d accepted and %d refused, want at least a fifth of each", accepted, refused)
	}
	for _, rule := range rules(t) {
		if why, known := undecided[rule]; known {
			if total.of(rule) != 0 {
				t.Errorf("rule %s decided, and should not: %s", rule, why)
			}
			continue
		}
		if total.of(rule) == 0 {
			t.Errorf("rule %s never decided: the property was not tried", rule)
		}
	}
}

// explore goes through the worlds, as many at once as there are processors.
func explore(t *testing.T, n int, seed uint64) tally {
	t.Helper()
	worlds := make(chan int)
	go func() {
		defer close(worlds)
		for number := range (n + chainsPerWorld - 1) / chainsPerWorld {
			if *worldFlag >= 0 && number != *worldFlag {
				continue
			}
			select {
			case worlds <- number:
			case <-t.Context().Done():
				return
			}
		}
	}()
	p := &progress{t: t, total: tally{}, chains: n, began: time.Now()}
	t.Run("worlds", func(t *testing.T) {
		for worker := range runtime.GOMAXPROCS(0) {
			t.Run(strconv.Itoa(worker), func(t *testing.T) {
				t.Parallel()
				defer func() { p.failed.CompareAndSwap(false, t.Failed()) }()
				g := newGround(t)
				for number := range worlds {
					if p.failed.Load() {
						return
					}
					p.add(explored(t, g, number, seed))
				}
			})
		}
	})
	return p.total
}

// explored is one world with its chains. Ids, keys and the like are random even with the same
// seed; what is asked is not.
func explored(t *testing.T, g *ground, number int, seed uint64) tally {
	t.Helper()
	done := false
	defer func() {
		if !done {
			t.Logf("to see it again: go test ./test/narrow -run '^TestR22NeverWidens$' -seed %d -world %d -chains %d", seed, number, chains())
		}
	}()
	w := newWorld(g, number, rand.New(rand.NewPCG(seed, uint64(number))))
	counts := tally{}
	for range chainsPerWorld {
		w.run(counts)
	}
	done = true
	return counts
}

// progress adds up, and says how far it is in long runs.
type progress struct {
	t      testing.TB
	chains int
	began  time.Time
	failed atomic.Bool // one of the workers

	mu    sync.Mutex
	total tally
	done  int
}

const longRun = 20_000

func (p *progress) add(counts tally) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, n := range counts {
		p.total[key] = both{p.total[key].accepted + n.accepted, p.total[key].refused + n.refused}
	}
	before := p.done
	p.done += chainsPerWorld
	if p.chains >= longRun && before/10_000 != p.done/10_000 {
		accepted, refused := p.total.sum()
		p.t.Logf("%d of %d chains after %v: %d accepted, %d refused", p.done, p.chains, time.Since(p.began).Round(time.Second), accepted, refused)
	}
}

// rules are the names of the policy's rules, as its source has them.
func rules(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../oidc/policy/*.go")
	must(t, err)
	names := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		must(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if ok && (strings.HasPrefix(spec.Names[0].Name, "Rule") || strings.HasPrefix(spec.Names[0].Name, "Allow")) && len(spec.Values) == 1 {
				if value, ok := spec.Values[0].(*ast.BasicLit); ok {
					word, err := strconv.Unquote(value.Value)
					must(t, err)
					names[word] = true
				}
			}
			return true
		})
	}
	if len(names) < 10 {
		t.Fatalf("the policy has the rules %v: that cannot be all", names)
	}
	return slices.Sorted(maps.Keys(names))
}
