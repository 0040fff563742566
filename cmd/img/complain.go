package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/bazel-contrib/rules_img/cmd/internal/wiring"
)

// complain tells people of an error, each line of it behind the program's name, and what they can do about it.
func complain(w io.Writer, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(w, "img: %s\n", line)
	}
	for _, hint := range wiring.Hints(err) {
		fmt.Fprintf(w, "img: hint: %s\n", hint)
	}
}
