package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/bazel-contrib/rules_img/cmd/internal/wiring"
	"github.com/bazel-contrib/rules_img/internal/inspect"
	"github.com/bazel-contrib/rules_img/internal/progress"
)

func (f *imageFlags) setValidate() *flag.FlagSet {
	flags := newFlags("validate")
	f.add(flags)
	return flags
}

// runValidate checks an image against itself and the specifications. The exit status is 1 when it is wrong, and 2 when nobody can say.
func runValidate(ctx context.Context, p process) error {
	var f imageFlags
	names, err := parseNames(p, f.setValidate(), 1)
	if err != nil {
		return trouble{err}
	}
	v, err := f.validate(ctx, p, names[0])
	if err == nil && f.json {
		err = printJSON(p.Stdout, v)
	} else if err == nil {
		err = inspect.Text{Bytes: progress.Bytes}.Verdict(p.Stdout, v)
	}
	if err != nil {
		return trouble{err}
	}
	if !v.Valid {
		return answer(1)
	}
	return nil
}

func (f imageFlags) validate(ctx context.Context, p process, name string) (*inspect.Verdict, error) {
	im, err := f.open(ctx, wiring.OpenRegistries(p.Getenv, 0), name)
	if err != nil {
		return nil, err
	}
	defer im.close()
	r := &inspect.Reader{Source: im.source}
	if im.layout != nil {
		r.Held = im.layout.Blobs()
	}
	v, err := r.Validate(ctx, im.name, im.root)
	if err != nil {
		return nil, fmt.Errorf("validate %s: %w", im.name, err)
	}
	if im.layout != nil {
		v.Add(im.layout.Check(ctx)...)
	}
	return v, nil
}
