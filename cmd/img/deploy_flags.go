package main

import (
	"cmp"
	"flag"
	"fmt"
	"strconv"
)

// deployFlags are what a user says after `bazel run target --`.
type deployFlags struct {
	tags                     []string
	registry, repositoryName string
	daemon, platforms        string
	jobs                     int
	quiet, dryRun            bool
	resultFile               string
}

func parseDeployFlags(p process, args []string) (deployFlags, error) {
	var d deployFlags
	f := d.set()
	f.Init(cmp.Or(p.Program, f.Name()), flag.ContinueOnError)
	f.SetOutput(p.Stderr)
	if err := f.Parse(args); err != nil {
		return d, err
	}
	if f.NArg() > 0 {
		return d, fmt.Errorf("%q is not a flag: see --help", f.Arg(0))
	}
	return d, nil
}

func (d *deployFlags) set() *flag.FlagSet {
	f := newFlags("deploy")
	addTag := func(s string) error { d.tags = append(d.tags, s); return nil }
	f.Func("tag", "set this `tag` too; may be repeated", addTag)
	f.Func("t", "the same as --tag", addTag)
	f.StringVar(&d.registry, "registry", "", "push to this `host[:port]` instead")
	f.StringVar(&d.repositoryName, "repository", "", "push to this `repository` instead")
	f.StringVar(&d.daemon, "daemon", "", "load into this `daemon` instead: docker, containerd, podman or generic")
	f.StringVar(&d.platforms, "platform", "", "load these `platforms` of an index, with commas between them, or all (default: what the daemon runs)")
	f.Func("jobs", "at most this `number` of requests to a registry, and of blobs on their way into a daemon, at once (default 32)", d.setJobs)
	f.BoolVar(&d.quiet, "quiet", false, "no progress and no summary; errors are still said")
	f.BoolVar(&d.dryRun, "dry-run", false, "ask what is there, say what would be moved, and change nothing")
	f.StringVar(&d.resultFile, "result-file", "", "write what was done to this `file`, as JSON")
	return f
}

func (d *deployFlags) setJobs(s string) (err error) {
	if d.jobs, err = strconv.Atoi(s); err != nil || d.jobs < 1 || d.jobs > 1024 {
		return fmt.Errorf("want a number from 1 to 1024")
	}
	return nil
}
