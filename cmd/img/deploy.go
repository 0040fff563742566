package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// planSuffix is how a run target finds its plan: beside it, under its own name.
const planSuffix = ".plan.json"

// planOf returns the plan beside the program, if it is a run target.
func planOf(program string) (string, bool) {
	path := strings.TrimSuffix(program, ".exe") + planSuffix
	_, err := os.Stat(path)
	return path, err == nil
}

// runDeploy carries out the plan that the first argument names.
func runDeploy(ctx context.Context, p process) error {
	if len(p.Args) == 0 || strings.HasPrefix(p.Args[0], "-") {
		return fmt.Errorf("want a plan: img deploy PLAN [--tag X]… [--registry X] [--repository X]")
	}
	return deployPlan(ctx, p, p.Args[0], p.Args[1:])
}

func deployPlan(ctx context.Context, p process, path string, args []string) error {
	from := openRegistries(p, 0)
	o, err := deployFlags(p, args)
	o.Repository = from.sink
	if err != nil {
		return err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	plan, err := deploy.Parse(b)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var moved blob.Counter
	if o.Source, err = planSource(p, plan, from, &moved); err != nil {
		return err
	}
	for _, op := range plan.Operations {
		if err := push(ctx, p, op, o, &moved); err != nil {
			return err
		}
	}
	return nil
}

func push(ctx context.Context, p process, op deploy.Operation, o deploy.Options, moved *blob.Counter) error {
	if op.Kind != "push" || op.Strategy != "eager" {
		return fmt.Errorf("the plan's operation %s, %s is not known to this img: build the target again", op.Kind, op.Strategy)
	}
	done, err := deploy.Push(ctx, op, o)
	if err != nil {
		return err
	}
	fmt.Fprintln(p.Stdout, oci.Reference{Registry: done.Reference.Registry, Repository: done.Reference.Repository, Digest: done.Reference.Digest})
	for _, tag := range done.Tags {
		fmt.Fprintf(p.Stdout, "%s:%s\n", done.Reference.Name(), tag)
	}
	fmt.Fprintln(p.Stderr, "img: pushed", summary(done.Report, moved.Tallys()))
	return nil
}

// summary says in one line how many blobs and bytes came from where.
func summary(r blob.Report, from []blob.SourceTally) string {
	var parts []string
	for _, t := range from {
		parts = append(parts, fmt.Sprintf("%d blobs, %d bytes from %s", t.Blobs, t.Bytes, t.Name))
	}
	parts = append(parts,
		fmt.Sprintf("%d blobs, %d bytes without sending them", r.Mounted.Blobs, r.Mounted.Bytes),
		fmt.Sprintf("%d manifests there already", r.Present.Blobs))
	return strings.Join(parts, "; ")
}

func deployFlags(p process, args []string) (deploy.Options, error) {
	var o deploy.Options
	f := flag.NewFlagSet(cmp.Or(p.Program, "img deploy"), flag.ContinueOnError)
	f.SetOutput(p.Stderr)
	addTag := func(s string) error { o.Tags = append(o.Tags, s); return nil }
	f.Func("tag", "set this `tag` too; may be repeated", addTag)
	f.Func("t", "the same as --tag", addTag)
	f.StringVar(&o.Registry, "registry", "", "push to this `host[:port]` instead")
	f.StringVar(&o.RepositoryName, "repository", "", "push to this `repository` instead")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("%q is not a flag: see --help", f.Arg(0))
	}
	return o, nil
}
