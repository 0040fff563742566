package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// bazel is a Bazel in a workspace.
type bazel struct {
	program   string
	workspace string
}

// errLeft is the one way in which something is left running.
var errLeft = errors.New("the Bazel server did not stop")

// run runs a command and returns what it prints. Bazel's own talk is shown when it fails. A server that is forgotten all the same goes soon.
func (b bazel) run(ctx context.Context, args ...string) (string, error) {
	return output(ctx, b.workspace, b.program, append([]string{"--max_idle_secs=60"}, args...)...)
}

// start starts the server. An interrupt waits for it, and Ctrl-C does not reach it: a server that is half started can't be told to stop.
func (b bazel) start(ctx context.Context) error {
	cmd := command(context.WithoutCancel(ctx), b.workspace, b.program, "--max_idle_secs=60", "info", "release")
	cmd.SysProcAttr = ownGroup()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return ctx.Err()
}

// shutdown stops the server, also after an interrupt.
func (b bazel) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := b.run(ctx, "shutdown"); err != nil {
		return fmt.Errorf("%w: %w", errLeft, err)
	}
	return nil
}

// build builds the images and returns what came from the registry for it: the base's manifests.
func (d *demo) build(ctx context.Context, base image) (traffic, error) {
	say("building examples/hello with Bazel in %s", d.bazel.workspace)
	before := d.registry.read()
	if _, err := d.bazel.run(ctx, "build", "//:images", "//:push"); err != nil {
		return traffic{}, err
	}
	t := d.registry.since(before)
	say("built: an image for %s. Of the base, %s came from the registry, of %s", base.platforms(), amount(t.down), amount(base.size()))
	if t.down > base.size()/2 {
		return t, fmt.Errorf("the build took %s from the registry: a shallow pull takes only manifests", amount(t.down))
	}
	return t, nil
}

// push pushes the index and returns its reference by digest.
func (d *demo) push(ctx context.Context) (string, traffic, error) {
	before := d.registry.read()
	out, err := d.bazel.run(ctx, "run", "//:push", "--", "--registry", d.registry.address)
	if err != nil {
		return "", traffic{}, err
	}
	reference, _, _ := strings.Cut(out, "\n")
	if !strings.Contains(reference, "@sha256:") {
		return "", traffic{}, fmt.Errorf("bazel run //:push printed %q: want a reference by digest first", out)
	}
	t := d.registry.since(before)
	say("pushed: %s went to the registry", amount(t.up))
	return reference, t, nil
}
