package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/bazel-contrib/rules_img/bench/scene"
	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
)

// cost is what a push cost the machine that runs Bazel, and how often the registry was asked, by whomever.
type cost struct {
	down, up int64
	requests int
	wall     time.Duration
}

// place is where a strategy is measured: servers, and what counts between them and this machine.
type place struct {
	executor string // host:port
	registry *remotetest.Proxy
	commits  string // host:port of the registry's other port
	taps     []*scene.Tap
	dir      string
}

// push pushes all images with a strategy: new, in a second round after a change, and in a third as a machine does that has built nothing yet.
func (s setting) push(ctx context.Context, strategy string, rounds int) (all []cost, err error) {
	p := &place{}
	if p.dir, err = os.MkdirTemp("", "bench-strategies-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(p.dir)
	ctx, stop := scene.WithServers(ctx)
	defer stop()
	address, err := s.open(ctx, p)
	if err != nil {
		return nil, err
	}
	repo, err := scene.NewMonorepo(s.root, "strategies", address, s.images, 0)
	if err != nil {
		return nil, err
	}
	bazel, err := scene.FindBazel(ctx, s.root, repo.Dir)
	if err != nil {
		return nil, err
	}
	defer bazel.Stop(context.WithoutCancel(ctx))
	command, err := s.prepare(ctx, p, bazel, strategy)
	if err != nil {
		return nil, err
	}
	for round := range rounds {
		switch round {
		case 1:
			err = repo.ChangePrivate(1)
		case 2:
			_, _, err = bazel.Run(ctx, "clean")
		}
		if err != nil {
			return nil, err
		}
		p.reset()
		used, _, err := bazel.Run(ctx, command, "//:push")
		if err != nil {
			return nil, err
		}
		c := p.reset()
		c.wall = used.Wall
		all = append(all, c)
	}
	return all, nil
}

// open starts the servers that every strategy has, and returns where this machine finds the registry.
func (s setting) open(ctx context.Context, p *place) (string, error) {
	var err error
	if p.executor, err = scene.ServeAnywhere(ctx, filepath.Join(s.programs, "rexd"), "--dir", filepath.Join(p.dir, "cas")); err != nil {
		return "", err
	}
	if p.commits, err = scene.FreeAddress(); err != nil {
		return "", err
	}
	registry, err := scene.ServeAnywhere(ctx, filepath.Join(s.programs, "registry"), "--port", "0", "--dir", filepath.Join(p.dir, "registry"), "--quiet",
		"--blob-store", "dir", "--blob-store", "reapi", "--reapi-endpoint", "grpc://"+p.executor, "--enable-blobcache", "--grpc-port", scene.Port(p.commits))
	if err != nil {
		return "", err
	}
	p.registry = &remotetest.Proxy{Registry: registry, Latency: s.latency}
	counted, err := p.registry.Serve(ctx)
	if err != nil {
		return "", err
	}
	return p.tap(ctx, counted)
}

// tap counts what passes between this machine and a server, and returns where to reach that.
func (p *place) tap(ctx context.Context, server string) (string, error) {
	t, err := scene.OpenTap(ctx, server)
	if err != nil {
		return "", err
	}
	p.taps = append(p.taps, t)
	return t.Address, nil
}

func (p *place) reset() (c cost) {
	for _, t := range p.taps {
		down, up := t.Reset()
		c.down, c.up = c.down+down, c.up+up
	}
	seen, _ := p.registry.Reset()
	c.requests = len(seen)
	return c
}

// prepare makes Bazel, whose tool is on the other machine then, push with a strategy by the command that is returned.
func (s setting) prepare(ctx context.Context, p *place, bazel *scene.Bazel, strategy string) (command string, err error) {
	ofBazel, err := p.tap(ctx, p.executor)
	if err != nil {
		return "", err
	}
	bazel.Flags = []string{
		"--@rules_img//img/settings:push_strategy=" + strategy,
		"--remote_executor=grpc://" + ofBazel, "--spawn_strategy=remote", "--remote_local_fallback=false",
	}
	also, command, err := s.strategy(ctx, p, bazel, strategy)
	if err != nil {
		return "", err
	}
	bazel.Flags = append(bazel.Flags, also...)
	_, _, err = bazel.Run(ctx, "build", "//:warm_up")
	return command, err
}

// strategy returns the flags of a strategy, and the command that pushes.
func (s setting) strategy(ctx context.Context, p *place, bazel *scene.Bazel, strategy string) (flags []string, command string, err error) {
	if strategy == "eager" {
		return nil, "run", nil
	}
	ofTool, err := p.tap(ctx, p.executor)
	if err != nil {
		return nil, "", err
	}
	flags = []string{"--remote_download_minimal", "--@rules_img//img/settings:remote_cache=grpc://" + ofTool}
	switch strategy {
	case "lazy":
		return flags, "run", nil
	case "cas_registry":
		commits, err := p.tap(ctx, p.commits)
		bazel.Program.Env = []string{"IMG_BLOB_CACHE_ENDPOINT=grpc://" + commits}
		return flags, "run", err
	case "bes":
		p.taps = p.taps[1:] // the server pushes, which is elsewhere; what Bazel's machine sends and gets is what is between it and the server
		events, err := s.serveEvents(ctx, p)
		return append(flags, "--bes_backend=grpc://"+events), "build", err
	}
	return nil, "", fmt.Errorf("there is no such strategy")
}

// serveEvents starts a build event service whose builds end when all is pushed.
func (s setting) serveEvents(ctx context.Context, p *place) (string, error) {
	server, err := scene.ServeAnywhere(ctx, filepath.Join(s.programs, "bes"), "--port", "0", "--state", filepath.Join(p.dir, "bes"),
		"--cas-endpoint", "grpc://"+p.executor, "--commit-mode", "per-stream", "--quiet")
	if err != nil {
		return "", err
	}
	return p.tap(ctx, server)
}
