package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// row is one tool at one work.
type row struct {
	work, tool string
	wall, cpu  []time.Duration
	size       int64
	memory     int64
	reach      float64 // of our time to this one's
	first      *row    // ours at this work
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

// ratio is how long we take as a part of what another takes.
func ratio(ours, others []time.Duration) float64 {
	return median(ours).Seconds() / median(others).Seconds()
}

func markdown(rows []row) string {
	var b strings.Builder
	fmt.Fprintln(&b, "| work | tool | wall | CPU | size | peak memory | img's wall to it | img's CPU to it | reach |")
	fmt.Fprintln(&b, "|---|---|---|---|---|---|---|---|---|")
	last := ""
	for _, r := range rows {
		name := r.work
		if name == last {
			name = ""
		}
		last = r.work
		compared := " | | "
		if r.first.tool != r.tool {
			compared = fmt.Sprintf(" %.2f | %.2f | ", ratio(r.first.wall, r.wall), ratio(r.first.cpu, r.cpu))
		}
		if r.reach > 0 {
			compared += fmt.Sprintf("≤ %.2f", r.reach)
		}
		fmt.Fprintf(&b, "| %s | %s | %.0f ms | %.0f ms | %.1f MB | %.0f MB |%s |\n", name, r.tool,
			milliseconds(r.wall), milliseconds(r.cpu), float64(r.size)/1e6, float64(r.memory)/1e6, compared)
	}
	return b.String()
}

func milliseconds(d []time.Duration) float64 { return float64(median(d).Microseconds()) / 1000 }

func describe() string {
	return fmt.Sprintf("\nMeasured with %s on %s/%s, %d CPUs.\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}
