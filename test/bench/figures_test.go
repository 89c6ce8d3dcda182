package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestInterval compares with the table of the sign test for the median.
func TestInterval(t *testing.T) {
	t.Parallel()
	upTo := func(n int) (all []float64) {
		for i := n; i > 0; i-- {
			all = append(all, float64(i))
		}
		return all
	}
	for _, c := range []struct {
		n                 int
		low, median, high float64
	}{
		{6, 1, 3.5, 6}, {8, 1, 4.5, 8}, {9, 2, 5, 8}, {12, 3, 6.5, 10}, {15, 4, 8, 12}, {20, 6, 10.5, 15}, {30, 10, 15.5, 21},
	} {
		if low, median, high := interval(upTo(c.n)); low != c.low || median != c.median || high != c.high {
			t.Errorf("1 to %d: got %v, %v, %v, want %v, %v, %v", c.n, low, median, high, c.low, c.median, c.high)
		}
	}
}

// paired is a row with the same ratio in each pair.
func paired(path string, ratio, wanted float64) *row {
	r := &row{path: path, against: "that", wanted: wanted, aim: wanted + 1}
	for range fewestPairs {
		r.pairs = append(r.pairs, pair{slice{answers: int(1000 * ratio), took: time.Second}, slice{answers: 1000, took: time.Second}})
	}
	return r
}

func TestFigures(t *testing.T) {
	t.Parallel()
	rows := []*row{paired("control", 1, 0), paired("fast", 1.5, 1.5), paired("slow", 1.499, 1.5)}
	if slow := below(rows); len(slow) != 1 || slow[0] != "slow" {
		t.Errorf("below what is wanted: got %q, want the slow one", slow)
	}
	file := filepath.Join(t.TempDir(), "build", "bench", "exchange.json")
	if err := writeFigures(file, figures(rows)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(text, &got); err != nil || len(got) != 2 {
		t.Fatalf("got %s, %v, want the two figures of which something is wanted", text, err)
	}
	want := map[string]any{
		"path": "fast", "against": "that", "ratio_low": 1.5, "ratio_median": 1.5, "ratio_high": 1.5, "wanted": 1.5, "aim": 2.5,
	}
	if len(got[0]) != len(want) {
		t.Errorf("members %v, want those of %v", got[0], want)
	}
	for name, value := range want {
		if got[0][name] != value {
			t.Errorf("%s is %v, want %v", name, got[0][name], value)
		}
	}
	for _, path := range []string{"control", "fast", "slow"} {
		if !strings.Contains(table(rows), path) {
			t.Errorf("the table has no %s:\n%s", path, table(rows))
		}
	}
}

// TestPutOffWorkCounts: a server that answers first and works later is not fast.
func TestPutOffWorkCounts(t *testing.T) {
	t.Parallel()
	s := slice{answers: 100, took: time.Second, server: 500 * time.Millisecond}
	if s.rate() != 100 || s.each() != 5000 {
		t.Errorf("got %v a second, %v µs each, want 100 and 5000", s.rate(), s.each())
	}
}

func TestProcessors(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{"0,1": "0 1", "3": "3", "0-2,5": "0 1 2 5", "": "", "x": "", "1-x": ""} {
		if got := strings.Join(processors(list), " "); got != want {
			t.Errorf("%q: got %q, want %q", list, got, want)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"-pairs 5", "-connections 0", "-slice 0s", "something", "-unknown"} {
		if err := run(t.Context(), strings.Fields(args), &strings.Builder{}, &strings.Builder{}); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
