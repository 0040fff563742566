package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"

	"github.com/bazel-contrib/rules_img/cmd/internal/wiring"
	"github.com/bazel-contrib/rules_img/internal/inspect"
	"github.com/bazel-contrib/rules_img/internal/progress"
)

// inspectFlags are what a user says to `img inspect`.
type inspectFlags struct {
	imageFlags
	shallow, all bool
	depth        int
}

func (f *inspectFlags) set() *flag.FlagSet {
	flags := newFlags("inspect")
	f.imageFlags.add(flags)
	flags.BoolVar(&f.shallow, "shallow", false, "manifests and configs only: no layer is read")
	flags.BoolVar(&f.all, "all", false, "all of each tree and list, not only what is largest")
	flags.IntVar(&f.depth, "depth", 3, "how many `levels` of directories are shown; 0 is all")
	return flags
}

// runInspect says what is in an image.
func runInspect(ctx context.Context, p process) error {
	var f inspectFlags
	names, err := parseNames(p, f.set(), 1)
	if err != nil {
		return err
	}
	im, err := f.open(ctx, wiring.OpenRegistries(p.Getenv, 0), names[0])
	if err != nil {
		return err
	}
	defer im.close()
	r := &inspect.Reader{Source: im.source, Shallow: f.shallow}
	report, err := r.Inspect(ctx, im.name, im.root)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(p.Stdout, report)
	}
	text := inspect.Text{Bytes: progress.Bytes, Depth: f.depth, Top: 8}
	if f.all {
		text.Depth, text.Top = 0, 0
	}
	return text.Report(p.Stdout, report)
}

// deepest is the depth of JSON that is indented: of a config that is ten thousand deep there would be little but indentation.
const deepest = 100

func printJSON(w io.Writer, v any) error {
	var plain, indented bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	if isDeep(plain.Bytes()) {
		_, err := w.Write(progress.JSON(plain.Bytes()))
		return err
	}
	if err := json.Indent(&indented, plain.Bytes(), "", "  "); err != nil {
		return err
	}
	_, err := w.Write(progress.JSON(indented.Bytes()))
	return err
}

func isDeep(b []byte) bool {
	d := json.NewDecoder(bytes.NewReader(b))
	for depth := 0; depth <= deepest; {
		t, err := d.Token()
		if err != nil {
			return false
		}
		switch t {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
	}
	return true
}
