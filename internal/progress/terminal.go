package progress

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Terminal shows a line for each blob under way, and one for what is done, and keeps them up to date in place. size returns the
// terminal's columns and rows.
func Terminal(w io.Writer, size func() (columns, rows int)) *Display {
	return &Display{view: &terminal{out: w, size: size}, every: 100 * time.Millisecond}
}

type terminal struct {
	out   io.Writer
	size  func() (int, int)
	lines int // on the screen now
	last  string
}

// Control sequences of every terminal since the VT100.
const (
	up   = "\x1b[%dA"
	wipe = "\r\x1b[J" // from here to the end of the screen
)

func (t *terminal) draw(m moment) {
	text, lines := t.text(m)
	if text == t.last {
		return
	}
	// In one write, or the screen flickers.
	io.WriteString(t.out, t.home()+text)
	t.last, t.lines = text, lines
}

func (t *terminal) close() {
	if t.lines > 0 {
		io.WriteString(t.out, t.home())
	}
	t.lines, t.last = 0, ""
}

// home goes to where the first line is and clears what follows.
func (t *terminal) home() string {
	if t.lines == 0 {
		return wipe
	}
	return fmt.Sprintf(up, t.lines) + wipe
}

func (t *terminal) text(m moment) (string, int) {
	columns, rows := t.size()
	var all []string
	for i, s := range m.active {
		if room := max(1, rows-3-len(m.retries)); i >= room {
			all = append(all, fmt.Sprintf("  and %d more", len(m.active)-room))
			break
		}
		all = append(all, "  "+line(s))
	}
	for _, r := range m.retries {
		all = append(all, "  "+r)
	}
	if len(m.active) > 0 || m.done.Blobs > 0 {
		all = append(all, fmt.Sprintf("  %s done", amount(m.done)))
	}
	var b strings.Builder
	for _, l := range all {
		b.WriteString(cut(l, columns-1) + "\n")
	}
	return b.String(), len(all)
}

func line(s state) string {
	l := fmt.Sprintf("%-8s %s  %9s of %-9s", kind(s.blob), s.blob.Digest.Encoded()[:12], Bytes(s.at), Bytes(s.blob.Size))
	if s.at >= s.blob.Size {
		return l + "  sent, waiting for the answer"
	}
	if left, ok := s.left(); ok {
		l += fmt.Sprintf("  %9s/s  %s left", Bytes(int64(s.rate)), left.Round(time.Second))
	}
	return l
}

// cut keeps a line from wrapping, which would put the next ones in wrong places.
func cut(s string, columns int) string {
	if columns > 0 && len(s) > columns {
		return s[:columns]
	}
	return s
}
