package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/bazel-contrib/rules_img/cmd/internal/wiring"
	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/progress"
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
		return fmt.Errorf("want a plan: img deploy PLAN [FLAGS]; img deploy PLAN --help lists the flags")
	}
	return deployPlan(ctx, p, p.Args[0], p.Args[1:])
}

func deployPlan(ctx context.Context, p process, path string, args []string) error {
	f, err := parseDeployFlags(p, args)
	if err != nil {
		return err
	}
	plan, err := readPlan(path)
	if err != nil {
		return err
	}
	p = p.withAuthFile(plan.AuthFile)
	d := deployment{process: p, deployFlags: f, plan: plan, registries: wiring.OpenRegistries(p.Getenv, f.jobs)}
	return d.run(ctx)
}

// withAuthFile is p in an environment that names the file of credentials, unless its own does.
func (p process) withAuthFile(path string) process {
	const name = "REGISTRY_AUTH_FILE"
	if path == "" || p.Getenv(name) != "" {
		return p
	}
	getenv := p.Getenv
	p.Getenv = func(key string) string {
		if key == name {
			return path
		}
		return getenv(key)
	}
	return p
}

func readPlan(path string) (deploy.Plan, error) {
	f, err := os.Open(path)
	if err != nil {
		return deploy.Plan{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, deploy.MaxSize+1))
	if err == nil && len(b) > deploy.MaxSize {
		err = fmt.Errorf("%s: has more than the %d bytes that a plan may have", path, deploy.MaxSize)
	}
	if err != nil {
		return deploy.Plan{}, err
	}
	plan, err := deploy.Parse(b)
	if err != nil {
		return plan, fmt.Errorf("%s: %w", path, err)
	}
	return plan, nil
}

// deployment is one plan being carried out.
type deployment struct {
	process
	deployFlags
	plan       deploy.Plan
	registries wiring.Registries
	display    *progress.Display
	moved      blob.Counter
	notes      notes
}

func (d *deployment) run(ctx context.Context) error {
	if !d.quiet && !d.dryRun {
		d.display = display(d.process)
		d.registries.Retry.Pausing = d.display.Pausing
	}
	files, err := planFiles(d.process, d.plan)
	if err != nil {
		return err
	}
	source, err := planSource(d.process, d.plan, files, d.registries, &d.moved)
	if err != nil {
		return err
	}
	commit, closing, err := openCommitter(d.process, d.plan, d.registries.Retry)
	if err != nil {
		return err
	}
	defer closing()
	kinds := map[string]deploy.Kind{
		deploy.KindPush: d.push(source, files, commit),
		deploy.KindLoad: d.load(source),
	}
	var results []deploy.Result
	d.display.During(ctx, func(ctx context.Context) { results = deploy.Run(ctx, d.plan.Operations, kinds) })
	if !d.quiet {
		d.notes.print(d.Stderr)
	}
	return d.report(ctx, results)
}

// push is how pushes are carried out.
func (d *deployment) push(source blob.Source, files deploy.Files, commit deploy.Commit) deploy.Kind {
	o := deploy.PushOptions{
		Repository: d.repository,
		Source:     source,
		Hint:       d.registries.Client.Hint,
		Commit:     commit,
		Plan:       d.plan,
		Manifests:  files,
		Registry:   d.registry, RepositoryName: d.repositoryName, Tags: d.tags,
		Jobs: d.jobs, DryRun: d.dryRun,
	}
	return func(ctx context.Context, ops []deploy.Operation) []deploy.Result { return deploy.Push(ctx, ops, o) }
}

func (d *deployment) repository(ref oci.Reference) (deploy.Repository, error) {
	r, err := d.registries.Sink(ref)
	if err != nil || d.display == nil {
		return r, err
	}
	return displayed{d.display.Sink(r).(deploy.Repository), r.(deploy.TagHaver)}, nil
}

// displayed is a repository whose blobs are displayed, and that can still be asked for tags.
type displayed struct {
	deploy.Repository
	deploy.TagHaver
}
