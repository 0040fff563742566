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
	name, args, help string
	run              func(context.Context, process) error
	works            bool                 // as a persistent worker: reads Request, and paths as request.In has them
	flags            func() *flag.FlagSet // for help and completion; nil when there are none
	more             string               // for help
}

// verbs are those for people, and then those of Bazel's actions.
func verbs() []verb {
	return []verb{
		{name: "inspect", args: "IMAGE", help: "say what is in an image, layer by layer", run: runInspect, flags: new(inspectFlags).set, more: helpOfInspect},
		{name: "diff", args: "IMAGE IMAGE", help: "say how two images differ", run: runDiff, flags: new(diffFlags).set, more: helpOfDiff},
		{name: "validate", args: "IMAGE", help: "check an image, to its last byte", run: runValidate, flags: new(imageFlags).setValidate, more: helpOfValidate},
		{name: "deploy", args: "PLAN", help: "carry out a plan: push and load", run: runDeploy, flags: new(deployFlags).set, more: helpOfDeploy},
		{name: "pull", help: "copy manifests, or blobs, into a directory", run: runPull, flags: new(pullFlags).set, more: helpOfPull},
		{name: "authorize", help: "get what another client needs to pull", run: runAuthorize, flags: new(originFlags).setAuthorize, more: helpOfAuthorize},
		{name: "completion", args: "SHELL", help: "make bash, zsh or fish complete what you type", run: runCompletion, more: helpOfCompletion},
		{name: "help", args: "[VERB]", help: "say more about a verb", run: runHelp},

		{name: "layer", args: aRequest, help: "make a layer", run: runLayer, works: true},
		{name: "layer-from-tar", args: aRequest, help: "make a layer of an archive", run: runLayerFromTar, works: true},
		{name: "manifest", args: aRequest, help: "make the manifest of an image", run: runManifest, works: true},
		{name: "index", args: aRequest, help: "make an index of manifests", run: runIndex, works: true},
		{name: "layout", args: aRequest, help: "write an image as files", run: runLayout},
		{name: "from-oci-layout", args: aRequest, help: "take a layout of another tool apart", run: runFromOCILayout},
		{name: "plan", args: aRequest, help: "plan a push", run: runPlan, works: true},
		{name: "blob", args: aRequest, help: "pull one blob", run: runBlob},
	}
}

// aRequest is the argument of the verbs of actions.
const aRequest = "@REQUEST"

func main() {
	ctx := untilSignal()
	p := process{Program: os.Args[0], Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}
	if err := run(ctx, p); err != nil && !errors.Is(err, flag.ErrHelp) {
		if !errors.As(err, new(answer)) {
			complain(p.Stderr, err)
		}
		os.Exit(statusOf(ctx, err))
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
	v, ok := verbNamed(name)
	switch {
	case name == "-h" || name == "--help" || name == "-help":
		usage(p.Stdout)
		return nil
	case !ok:
		return unknownVerb(name)
	case asksForHelp(p.Args):
		return v.explain(p.Stdout)
	case !slices.Contains(p.Args, worker.Flag):
		return v.run(ctx, p)
	case !v.works:
		return fmt.Errorf("%s: cannot be a persistent worker: run it as a process for each request, without %s", v.name, worker.Flag)
	}
	return serve(ctx, p, v.run)
}
