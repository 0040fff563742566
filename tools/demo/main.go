// Demo shows the whole pipeline from outside, on a bare machine: it gets a Bazel, makes a base image of Debian packages, starts this
// project's registry, builds examples/hello for two platforms on that base, pushes it, and has crane, which is not ours, pull it
// back and check it. It says what it does in plain words on stdout and ends with the line "demo: OK REFERENCE@sha256:…".
//
// The law: every number it prints was measured, and it leaves nothing running, however it ends.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	base := flag.String("base", "", "stand on this `image`, copied from its registry, instead of one made of Debian packages")
	flag.Parse()
	reference, err := run(ctx, *base)
	switch {
	case ctx.Err() != nil && !errors.Is(err, errLeft):
		fmt.Fprintln(os.Stderr, "demo: interrupted; nothing is left running")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
	say("OK %s", reference)
}

// demo is one run.
type demo struct {
	root     string // of this repository
	cache    string // what the next run can use again
	scratch  string // what it can't
	crane    string
	bazel    bazel
	registry *meter
}

// run returns the reference of the image that was pushed, when everything is stopped again.
func run(ctx context.Context, base string) (reference string, err error) {
	d, err := prepare(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.scratch)) }()
	registry, err := d.startRegistry(ctx)
	if err != nil {
		return "", err
	}
	defer registry.stop()
	d.registry, err = startMeter(registry.address)
	if err != nil {
		return "", err
	}
	defer d.registry.stop()
	seeded, err := d.seed(ctx, base)
	if err != nil {
		return "", err
	}
	// One workspace for each checkout, so that demos of two do not meet.
	d.bazel.workspace = filepath.Join(d.cache, fmt.Sprintf("hello-%x", sha256.Sum256([]byte(d.root)))[:len("hello-")+8])
	if err := d.writeWorkspace(seeded); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, d.bazel.shutdown()) }()
	if err := d.bazel.start(ctx); err != nil {
		return "", err
	}
	return d.show(ctx, seeded)
}

// show builds, pushes and checks the image, says what came of it, and returns its reference.
func (d *demo) show(ctx context.Context, base image) (string, error) {
	pulled, err := d.build(ctx, base)
	if err != nil {
		return "", err
	}
	reference, pushed, err := d.push(ctx)
	if err != nil {
		return "", err
	}
	made, err := d.check(ctx, reference)
	if err != nil {
		return "", err
	}
	if err := startInEngine(ctx, reference); err != nil {
		return "", err
	}
	return reference, account(base, made, pulled, pushed)
}

// prepare finds or gets the tools.
func prepare(ctx context.Context) (*demo, error) {
	module, err := output(ctx, ".", "go", "env", "GOMOD")
	if err != nil {
		return nil, err
	}
	root := filepath.Dir(module)
	if filepath.Base(module) != "go.mod" {
		return nil, errors.New("run it in a checkout of rules_img: make demo")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	d := &demo{root: root, cache: filepath.Join(cache, "rules_img", "demo")}
	say("looking for a Bazel (the first time, on Debian, one is fetched: 150 MB, below %s)", filepath.Join(cache, "rules_img"))
	if d.bazel.program, err = output(ctx, root, "tools/get-bazel"); err != nil {
		return nil, err
	}
	if d.crane, err = output(ctx, root, "tools/get-tool", "crane"); err != nil {
		return nil, err
	}
	version, err := output(ctx, root, d.bazel.program, "--version")
	if err != nil {
		return nil, err
	}
	say("%s, from %s", version, d.bazel.program)
	if err := os.MkdirAll(d.cache, 0o755); err != nil {
		return nil, err
	}
	d.scratch, err = os.MkdirTemp(d.cache, "run-")
	return d, err
}

// say tells the story, line by line.
func say(format string, args ...any) { fmt.Printf("demo: "+format+"\n", args...) }

// output runs a program in a folder and returns what it prints. Its talk is shown only when it fails; that of the tools that fetch things, which can
// take a while, at once.
func output(ctx context.Context, folder, program string, args ...string) (string, error) {
	cmd := command(ctx, folder, program, args...)
	var talk strings.Builder
	cmd.Stderr = &talk
	if strings.HasPrefix(program, "tools/") {
		cmd.Stderr = os.Stderr
	}
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, talk.String(), out)
	}
	return strings.TrimSpace(string(out)), nil
}

// command is a program that is asked to stop when ctx ends, and killed if it does not.
func command(ctx context.Context, folder, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = folder
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}
