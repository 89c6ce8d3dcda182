package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// figure is a row as it is written down.
type figure struct {
	Path        string  `json:"path"`
	Against     string  `json:"against"`
	RatioLow    float64 `json:"ratio_low"`
	RatioMedian float64 `json:"ratio_median"`
	RatioHigh   float64 `json:"ratio_high"`
	Wanted      float64 `json:"wanted"`
	Aim         float64 `json:"aim"`
}

// fewestPairs is how many pairs an interval needs: all of fewer lie on one side of the true
// median more often than in one of twenty runs.
const fewestPairs = 6

// interval is the median of some ratios and the 95 % interval of the true one, by the sign test:
// each ratio lies below the true median as a coin falls, whatever else they do, so that the
// few lowest and the few highest can be left out with a known risk of 2.5 % at each end.
func interval(ratios []float64) (low, median, high float64) {
	sorted := slices.Sorted(slices.Values(ratios))
	n := len(sorted)
	left, risk := 0, 0.0
	for p := math.Pow(0.5, float64(n)); risk+p <= 0.025; left++ { // p: that just as many as left lie below
		risk += p
		p *= float64(n-left) / float64(left+1)
	}
	return sorted[left-1], (sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[n-left]
}

func (r *row) figure() figure {
	var ratios []float64
	for _, p := range r.pairs {
		ratios = append(ratios, p.ratio())
	}
	low, median, high := interval(ratios)
	return figure{r.path, r.against, rounded(low), rounded(median), rounded(high), r.wanted, r.aim}
}

// rounded to three digits behind the point, downwards, so that nothing reaches by it what is wanted.
func rounded(x float64) float64 { return math.Floor(x*1000) / 1000 }

// figures are those of which something is wanted.
func figures(rows []*row) (all []figure) {
	for _, r := range rows {
		if r.wanted > 0 {
			all = append(all, r.figure())
		}
	}
	return all
}

// below names the rows that are below what is wanted of them.
func below(rows []*row) (slow []string) {
	for _, f := range figures(rows) {
		if f.RatioLow < f.Wanted {
			slow = append(slow, f.Path)
		}
	}
	return slow
}

// table is for people. "Each" is the server's processor time for an answer, and "busy" how
// much of its processor a side used: where the server is not, something else held it up, and where
// the load is, it was that.
func table(rows []*row) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\tagainst\tlow\tmedian\thigh\twanted\taim\tper second\tµs each, and against\tserver busy\tload busy\t")
	for _, r := range rows {
		f := r.figure()
		wanted, aim := "", ""
		if r.wanted > 0 {
			wanted, aim = fmt.Sprintf("%.2f", f.Wanted), fmt.Sprintf("%.2f", f.Aim)
		}
		fmt.Fprintf(w, "%s\t%s\t%.2f\t%.2f\t%.2f\t%s\t%s\t%.0f\t%.0f, %.0f\t%.0f %%\t%.0f %%\t\n", f.Path, f.Against, f.RatioLow, f.RatioMedian, f.RatioHigh, wanted, aim,
			r.middle(slice.rate), r.middle(slice.each), middle(r.pairs, func(p pair) float64 { return p.base.each() }),
			r.middle(func(s slice) float64 { return 100 * share(s.server, s) }), r.middle(func(s slice) float64 { return 100 * share(s.client, s) }))
	}
	_ = w.Flush() // a string takes everything
	return b.String()
}

func share(used time.Duration, s slice) float64 { return used.Seconds() / s.took.Seconds() }

// middle is the median of something over the measured slices.
func (r *row) middle(of func(slice) float64) float64 {
	return middle(r.pairs, func(p pair) float64 { return of(p.measured) })
}

func middle(pairs []pair, of func(pair) float64) float64 {
	var all []float64
	for _, p := range pairs {
		all = append(all, of(p))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// writeFigures writes the figures for programs.
func writeFigures(file string, all []figure) error {
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
