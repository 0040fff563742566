package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/bazel-contrib/rules_img/cmd/internal/wiring"
	"github.com/bazel-contrib/rules_img/internal/progress"
)

// complain tells people of an error, each line of it behind the program's name, and what they can do about it.
// Some of it may be what a stranger said.
func complain(w io.Writer, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(w, "img: %s\n", progress.Plain(short(line)))
	}
	for _, hint := range wiring.Hints(err) {
		fmt.Fprintf(w, "img: hint: %s\n", progress.Plain(short(hint)))
	}
}

// mostText is how many bytes of a line are said. What is longer has something in it that a stranger made long.
const mostText = 16 << 10

func short(line string) string {
	if more := len(line) - mostText; more > 0 {
		return strings.ToValidUTF8(line[:mostText], "") + fmt.Sprintf("... and %d bytes more", more)
	}
	return line
}
