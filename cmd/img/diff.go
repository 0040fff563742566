package main

import (
	"context"
	"flag"

	"github.com/bazel-contrib/rules_img/cmd/internal/wiring"
	"github.com/bazel-contrib/rules_img/internal/inspect"
	"github.com/bazel-contrib/rules_img/internal/progress"
)

// diffFlags are what a user says to `img diff`.
type diffFlags struct {
	imageFlags
	shallow, quiet bool
}

func (f *diffFlags) set() *flag.FlagSet {
	flags := newFlags("diff")
	f.imageFlags.add(flags)
	flags.BoolVar(&f.shallow, "shallow", false, "manifests and configs only: no layer is read")
	flags.BoolVar(&f.quiet, "quiet", false, "print nothing: the exit status says it all")
	return flags
}

// runDiff says how two images differ. As with diff, the exit status is 1 when they do, and 2 when nobody can say.
func runDiff(ctx context.Context, p process) error {
	var f diffFlags
	names, err := parseNames(p, f.set(), 2)
	if err != nil {
		return trouble{err}
	}
	d, err := f.compare(ctx, wiring.OpenRegistries(p.Getenv, 0), names[0], names[1])
	if err == nil {
		err = f.print(p, d)
	}
	if err != nil {
		return trouble{err}
	}
	if !d.Same {
		return answer(1)
	}
	return nil
}

func (f diffFlags) compare(ctx context.Context, from wiring.Registries, nameA, nameB string) (*inspect.Difference, error) {
	a, err := f.open(ctx, from, nameA)
	if err != nil {
		return nil, err
	}
	defer a.close()
	b, err := f.open(ctx, from, nameB)
	if err != nil {
		return nil, err
	}
	defer b.close()
	ra, rb := &inspect.Reader{Source: a.source, Shallow: f.shallow || f.quiet}, &inspect.Reader{Source: b.source}
	return inspect.Compare(ctx, ra, rb, a.name, b.name, a.root, b.root)
}

func (f diffFlags) print(p process, d *inspect.Difference) error {
	switch {
	case f.quiet:
		return nil
	case f.json:
		return printJSON(p.Stdout, d)
	}
	return inspect.Text{Bytes: progress.Bytes}.Difference(p.Stdout, d)
}
