package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/bazel-contrib/rules_img/cmd/internal/front"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// options are what the command line says.
type options struct {
	front.Options

	state            string
	casEndpoint      string
	credentialHelper string
	commitMode       string
	allowFiles       string
	registries       places
	jobs             int
	keep             int
	keepFor          time.Duration
	maxMessage       int
	streamAge        time.Duration
	uploadWait       time.Duration
	stall, grace     time.Duration
	metrics          front.Metrics
	quiet            bool
}

// The ways to say that a build's pushes are done.
const (
	background = "background"
	perStream  = "per-stream"
)

func parseFlags(p process) (options, error) {
	o := options{Options: front.Options{Danger: "push with the credentials of this server"}}
	flags := flag.NewFlagSet("bes", flag.ContinueOnError)
	flags.SetOutput(p.Stderr)
	flags.Usage = func() {
		fmt.Fprint(p.Stderr, "usage: bes --state DIRECTORY --cas-endpoint ENDPOINT [FLAGS]\n"+
			"  status     print what was accepted and what became of it: bes status --state DIRECTORY\n\n")
		flags.PrintDefaults()
	}
	o.Add(flags, 8985)
	flags.StringVar(&o.state, "state", "", "`directory` that keeps what was accepted and is not pushed yet, and what became of the rest")
	flags.StringVar(&o.casEndpoint, "cas-endpoint", "", "`endpoint` of Bazel's remote cache, as --remote_cache has it; plans and layers are read there, whatever address events name")
	flags.StringVar(&o.credentialHelper, "credential-helper", "", "`program` for the credentials of the cache, as Bazel's --credential_helper has it")
	flags.StringVar(&o.commitMode, "commit-mode", background, "`mode`: with background, builds do not wait for their pushes; with per-stream they do, and fail if a push does")
	flags.StringVar(&o.allowFiles, "allow-files", "", "`directory` of this machine below which the server may read files that events name, such as Bazel's output user root (default: none)")
	flags.Var(&o.registries, "allow-registry", "push to, and read bases from, this `HOST[/PREFIX]` and no other; may be repeated (default: any)")
	flags.IntVar(&o.jobs, "jobs", 64, "`number` of plans that are pushed at once")
	flags.IntVar(&o.keep, "keep", 10_000, "`number` of plans to remember after they were pushed, or failed")
	flags.DurationVar(&o.keepFor, "keep-for", time.Hour, "`time` for which such plans are remembered even if there are more than --keep")
	flags.IntVar(&o.maxMessage, "max-message-size", 32<<20, "largest event, in `bytes`")
	flags.DurationVar(&o.streamAge, "stream-age", 24*time.Hour, "`time` after which a build that broke off is forgotten")
	flags.DurationVar(&o.uploadWait, "upload-wait", time.Minute, "`time` for which a build may take to upload what its events name already, as Bazel does with --remote_cache_async")
	flags.DurationVar(&o.stall, "stall-timeout", time.Minute, "`time` after which a connection that says nothing is asked whether it lives, and given up soon after; one without a build is closed after ten times as long")
	flags.DurationVar(&o.grace, "grace", 10*time.Second, "`time` for which builds, and then pushes, may go on after a signal to stop")
	o.metrics.Add(flags)
	flags.BoolVar(&o.quiet, "quiet", false, "log warnings and errors only, and not every push")
	if err := flags.Parse(p.Args); err != nil {
		return o, err
	}
	return o, o.check(flags.Args())
}

func (o options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q: want flags only, or status before them", rest)
	case o.state == "":
		return errors.New("want --state DIRECTORY, which keeps what was accepted")
	case o.casEndpoint == "" && o.allowFiles == "":
		return errors.New("want --cas-endpoint, where images are read from: what builds have for --remote_cache")
	case o.commitMode != background && o.commitMode != perStream:
		return fmt.Errorf("--commit-mode=%s: want %s or %s", o.commitMode, background, perStream)
	case o.allowFiles != "" && !filepath.IsAbs(o.allowFiles):
		return fmt.Errorf("--allow-files=%s: want an absolute path", o.allowFiles)
	case o.jobs < 1 || o.keep < 0 || o.keepFor < 0 || o.maxMessage < 1<<20 || o.streamAge <= 0 || o.uploadWait < 0 || o.stall < time.Second || o.grace < 0:
		return errors.New("--jobs, --keep, --keep-for, --max-message-size, --stream-age, --upload-wait, --stall-timeout and --grace: want no negative numbers, one job at least, a mebibyte for an event, an age, and a second to stand still")
	}
	return cmp.Or(o.metrics.Check(), o.Check())
}

// places are parts of registries: hosts, and repositories below a prefix.
type places []string

// String implements [flag.Value].
func (p *places) String() string { return strings.Join(*p, " ") }

// Set implements [flag.Value].
func (p *places) Set(s string) error {
	host, prefix, _ := strings.Cut(strings.TrimSuffix(s, "/"), "/")
	ref, err := oci.NewReference(host, cmp.Or(prefix, "any")) // Docker Hub has several names
	if err != nil || host == "" {
		return errors.New("want HOST, HOST:PORT or HOST/PREFIX")
	}
	*p = append(*p, strings.TrimSuffix(ref.Registry+"/"+prefix, "/"))
	return nil
}

// has reports whether a repository, as registry/repository, is in one of the places. No places are everywhere.
func (p places) has(repository string) bool {
	for _, place := range p {
		if repository == place || strings.HasPrefix(repository, place+"/") {
			return true
		}
	}
	return len(p) == 0
}
