package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// complain tells people of an error, each line of it behind the program's name, and what they can do about it.
func complain(w io.Writer, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(w, "img: %s\n", line)
	}
	for _, hint := range hints(err) {
		fmt.Fprintf(w, "img: hint: %s\n", hint)
	}
}

// hints are the different hints of an error and all that it wraps.
func hints(err error) []string {
	var found []string
	var walk func(error)
	walk = func(err error) {
		if h, ok := err.(interface{ Hint() string }); ok && h.Hint() != "" && !slices.Contains(found, h.Hint()) {
			found = append(found, h.Hint())
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			if inner := e.Unwrap(); inner != nil {
				walk(inner)
			}
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				walk(inner)
			}
		}
	}
	walk(err)
	return found
}
