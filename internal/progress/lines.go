package progress

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// Lines writes a line now and then, which is what a log can show. Work that is done before the first writes none.
func Lines(w io.Writer, every time.Duration) *Display {
	return &Display{view: lines{w}, every: every}
}

type lines struct{ out io.Writer }

func (l lines) draw(m moment) {
	for _, r := range m.retries {
		fmt.Fprintln(l.out, "img:", r)
	}
	if len(m.active) == 0 {
		return
	}
	var speed float64
	var left int64
	for _, s := range m.active {
		speed += s.rate
		left += s.blob.Size - s.at
	}
	largest := slices.MaxFunc(m.active, func(a, b state) int { return int(min(1, max(-1, a.blob.Size-b.blob.Size))) })
	fmt.Fprintf(l.out, "img: %s done, %d under way, %s/s, %s to go; the largest is %s %s of %s\n",
		amount(m.done), len(m.active), Bytes(int64(speed)), Bytes(left),
		kind(largest.blob), largest.blob.Digest.Encoded()[:12], Bytes(largest.blob.Size))
}

func (lines) close() {}
