package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/progress"
)

// load is how loads are carried out: one after another into each daemon, so that what images share goes once, and
// daemons side by side.
func (d *deployment) load(source blob.Source) deploy.Kind {
	return func(ctx context.Context, ops []deploy.Operation) []deploy.Result {
		loads := &loads{deployment: d, source: source, named: map[string]oci.Digest{}}
		results := make([]deploy.Result, len(ops))
		var all sync.WaitGroup
		for name, at := range loads.byDaemon(ops) {
			all.Go(func() {
				to, err := openDaemon(d.process, name)
				for _, i := range at {
					results[i] = loads.one(ctx, to, ops[i], err)
				}
			})
		}
		all.Wait()
		return results
	}
}

// loads are the loads of one run.
type loads struct {
	*deployment
	source blob.Source

	mu    sync.Mutex
	named map[string]oci.Digest
}

// byDaemon returns where the operations for each daemon stand.
func (l *loads) byDaemon(ops []deploy.Operation) map[string][]int {
	at := map[string][]int{}
	for i, op := range ops {
		name := cmp.Or(l.daemon, op.Daemon)
		at[name] = append(at[name], i)
	}
	return at
}

// one loads into a daemon, if it could be opened.
func (l *loads) one(ctx context.Context, to daemon.Daemon, op deploy.Operation, err error) deploy.Result {
	r := deploy.Result{Operation: op, Place: cmp.Or(l.daemon, op.Daemon)}
	var done daemon.Loaded
	if err == nil {
		done, err = l.into(ctx, to, op, r.Place)
	}
	r.Report = done.Report
	r.Place = cmp.Or(done.Daemon, r.Place)
	for _, note := range done.Notes {
		l.notes.add(r.Place + ": " + note)
	}
	if err != nil {
		r.Err = fmt.Errorf("load of %s: %w", op.Name, err)
		return r
	}
	r.Names = append([]string{string(done.Root.Digest)}, done.Names...)
	return r
}

func (l *loads) into(ctx context.Context, to daemon.Daemon, op deploy.Operation, place string) (daemon.Loaded, error) {
	names, err := l.names(op, place)
	if err != nil {
		return daemon.Loaded{}, err
	}
	platforms, err := l.platformsOf()
	if err != nil {
		return daemon.Loaded{}, err
	}
	im := daemon.Image{Root: op.Root, Source: l.source, Names: names, Platforms: platforms, Jobs: l.jobs, Dry: l.dryRun}
	if l.display != nil {
		im.Watch = l.display.Sink
	}
	return to.Load(ctx, im)
}

// names are those of the plan and of the command line, each once. No other image of the run may have one of them in the
// same daemon.
func (l *loads) names(op deploy.Operation, place string) ([]daemon.Name, error) {
	var names []daemon.Name
	for _, s := range slices.Concat(op.Tags, l.tags) {
		n, err := daemon.ParseName(s)
		if err != nil {
			return nil, err
		}
		if err := n.Check(op.Root); err != nil {
			return nil, err
		}
		if slices.Contains(names, n) {
			continue
		}
		if err := l.claim(place+" "+n.Full(), n, op.Root); err != nil {
			return nil, err
		}
		names = append(names, n)
	}
	return names, nil
}

func (l *loads) claim(key string, n daemon.Name, root oci.Descriptor) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other, ok := l.named[key]; ok && other != root.Digest {
		return fmt.Errorf("name %s: would be both %s and %s: give the images different names", n.Familiar(), other, root.Digest)
	}
	l.named[key] = root.Digest
	return nil
}

// platformsOf are what the user asks for, or else what Docker's own command would take.
func (l *loads) platformsOf() (daemon.Platforms, error) {
	if l.platforms != "" {
		return daemon.ParsePlatforms(l.platforms)
	}
	if s := l.Getenv("DOCKER_DEFAULT_PLATFORM"); s != "" {
		p, err := daemon.ParsePlatforms(s)
		if err != nil {
			err = fmt.Errorf("DOCKER_DEFAULT_PLATFORM: %w", err)
		}
		return p, err
	}
	return daemon.Platforms{}, nil
}

// notes are lines for people, kept until nothing is drawn any more.
type notes struct {
	mu    sync.Mutex
	lines []string
}

func (n *notes) add(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
}

func (n *notes) print(w io.Writer) {
	for _, line := range n.lines {
		fmt.Fprintln(w, "img:", progress.Plain(line))
	}
}
