package main

import (
	"os"
	"time"

	"golang.org/x/term"

	"github.com/bazel-contrib/rules_img/internal/progress"
)

// logEvery is how often a log hears of progress.
const logEvery = 15 * time.Second

// display shows progress on stderr: in place on a terminal, by a line now and then elsewhere.
func display(p process) *progress.Display {
	f, ok := p.Stderr.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || p.Getenv("TERM") == "dumb" || !understandsControls(f) {
		return progress.Lines(p.Stderr, logEvery)
	}
	return progress.Terminal(f, func() (columns, rows int) {
		columns, rows, err := term.GetSize(int(f.Fd()))
		if err != nil || columns <= 0 || rows <= 0 {
			return 80, 24
		}
		return columns, rows
	})
}
