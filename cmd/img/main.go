// Command img builds container images out of files, one request at a time for Bazel's actions, and moves them
// to where they run. Each verb has a file of its name here and does no more than read its input, call the
// package of that name and report.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/bazel-contrib/rules_img/internal/layer/framecache"
	"github.com/bazel-contrib/rules_img/internal/worker"
)

// process is all that a verb may know of the process it runs in.
type process struct {
	Program string   // as it was called
	Args    []string // after the verb
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Getenv  func(string) string

	// The rest is set for the requests of a worker.
	Request io.Reader         // what its file would hold
	Dir     string            // where the relative paths of the request begin; empty for the working directory
	Inputs  []worker.Input    // of the action
	Cache   *framecache.Cache // of the worker
}

type verb struct {
	name, help string
	run        func(context.Context, process) error
	works      bool // as a persistent worker: reads Request, and paths as request.In has them
}

func verbs() []verb {
	return []verb{
		{"layer", "make a layer: img layer @REQUEST", runLayer, true},
		{"layer-from-tar", "make a layer of an archive: img layer-from-tar @REQUEST", runLayerFromTar, true},
		{"manifest", "make the manifest of an image: img manifest @REQUEST", runManifest, true},
		{"index", "make an index of manifests: img index @REQUEST", runIndex, true},
		{"layout", "write an image as files: img layout @REQUEST", runLayout, false},
		{"from-oci-layout", "take a layout of another tool apart: img from-oci-layout @REQUEST", runFromOCILayout, false},
		{"plan", "plan a push: img plan @REQUEST", runPlan, true},
		{"deploy", "carry out a plan: img deploy PLAN [FLAGS]", runDeploy, false},
		{"pull", "copy an image's manifests, or blobs, into a directory: img pull --help", runPull, false},
		{"blob", "pull one blob: img blob @REQUEST", runBlob, false},
		{"authorize", "get what another client needs to pull: img authorize --help", runAuthorize, false},
	}
}

func main() {
	ctx := untilSignal()
	p := process{Program: os.Args[0], Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}
	if err := run(ctx, p); err != nil && !errors.Is(err, flag.ErrHelp) {
		complain(p.Stderr, err)
		os.Exit(exitStatus(ctx))
	}
}

func run(ctx context.Context, p process) error {
	if plan, ok := planOf(p.Program); ok {
		return deployPlan(ctx, p, plan, p.Args)
	}
	if len(p.Args) == 0 {
		usage(p.Stderr)
		return errors.New("want a verb")
	}
	name := p.Args[0]
	p.Args = p.Args[1:]
	for _, v := range verbs() {
		if v.name != name {
			continue
		}
		if !slices.Contains(p.Args, worker.Flag) {
			return v.run(ctx, p)
		}
		if !v.works {
			return fmt.Errorf("%s: cannot be a persistent worker: run it as a process for each request, without %s", v.name, worker.Flag)
		}
		return serve(ctx, p, v.run)
	}
	if name == "help" || name == "-h" || name == "--help" {
		usage(p.Stdout)
		return nil
	}
	usage(p.Stderr)
	return fmt.Errorf("%q is not a verb", name)
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: img VERB …")
	for _, v := range verbs() {
		fmt.Fprintf(w, "  %-10s %s\n", v.name, v.help)
	}
}
