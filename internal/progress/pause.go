package progress

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// pause is a wait before something is tried again.
type pause struct {
	why   string
	until time.Time
}

// Pausing shows that something is tried again after wait, and why, until over is called. It is what blob.Retry.Pausing wants.
func (d *Display) Pausing(wait time.Duration, why error) (over func()) {
	if d == nil {
		return func() {}
	}
	first, _, _ := strings.Cut(why.Error(), "\n")
	p := &pause{Plain(first), time.Now().Add(wait)}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pauses = append(d.pauses, p)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.pauses = slices.DeleteFunc(d.pauses, func(o *pause) bool { return o == p })
	}
}

// mostPauses is how many reasons are shown. A store in trouble has the same one for everything.
const mostPauses = 3

// retries are lines for the pauses at a moment, each reason once.
func retries(pauses []*pause, now time.Time) []string {
	var lines, reasons []string
	for _, p := range pauses {
		if slices.Contains(reasons, p.why) {
			continue
		}
		reasons = append(reasons, p.why)
		left := max(0, int(math.Ceil(p.until.Sub(now).Seconds())))
		lines = append(lines, fmt.Sprintf("retrying in %d s: %s", left, p.why))
	}
	if more := len(lines) - mostPauses; more > 0 {
		lines = append(lines[:mostPauses], fmt.Sprintf("and %d more to retry", more))
	}
	return lines
}
