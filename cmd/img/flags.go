package main

import (
	"flag"
	"fmt"
	"io"
)

// newFlags are the flags of a verb, which help and completion list as well.
func newFlags(verb string) *flag.FlagSet {
	flags := flag.NewFlagSet("img "+verb, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // main says what is wrong
	return flags
}

// parseNames reads flags, wherever they stand, and just so many names.
func parseNames(p process, flags *flag.FlagSet, want int) (names []string, err error) {
	args := p.Args
	for {
		if err := flags.Parse(args); err != nil {
			return nil, fmt.Errorf("%w: see %s --help", err, flags.Name())
		}
		if flags.NArg() == 0 {
			break
		}
		names = append(names, flags.Arg(0))
		args = flags.Args()[1:]
	}
	if len(names) != want {
		images := "images"
		if want == 1 {
			images = "image"
		}
		return nil, fmt.Errorf("want %d %s, and got %d: see %s --help", want, images, len(names), flags.Name())
	}
	return names, nil
}
