package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/bazel-contrib/rules_img/bench/scene"
	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
)

// registry is a real one behind a proxy, whose address stays when it is emptied.
type registry struct {
	proxy   *remotetest.Proxy
	address string
	stop    func()
	dir     string
}

func (r *registry) open(ctx context.Context, latency time.Duration) (err error) {
	r.proxy = &remotetest.Proxy{Latency: latency}
	r.address, err = r.proxy.Serve(ctx)
	return err
}

// empty puts an empty registry behind the proxy.
func (r *registry) empty(ctx context.Context) (err error) {
	if r.stop != nil {
		r.stop()
		os.RemoveAll(r.dir)
	}
	if r.dir, err = os.MkdirTemp("", "bench-registry-"); err != nil {
		return err
	}
	r.proxy.Registry, r.stop, err = remotetest.Start(ctx, remotetest.KindDistribution, r.dir)
	return err
}

func (r *registry) counted() (requests int, sent int64) {
	seen, sent := r.proxy.Reset()
	return len(seen), sent
}

// way builds and pushes, and says what the push used.
type way func(context.Context) (scene.Usage, error)

// ways are how strategies are set up.
var ways = map[string]func(context.Context, *bench) (way, error){
	"eager": func(_ context.Context, b *bench) (way, error) { return b.runTarget("eager"), nil },
	"lazy": func(ctx context.Context, b *bench) (way, error) {
		cache, err := scene.StartCache(ctx)
		if err != nil {
			return nil, err
		}
		return b.runTarget("lazy", "--remote_cache="+cache, "--@rules_img//img/settings:remote_cache="+cache, "--remote_download_minimal"), nil
	},
}

// runTarget builds the push, and runs it as bazel run does.
func (b *bench) runTarget(strategy string, flags ...string) way {
	program := scene.Program{Path: filepath.Join(b.Dir, "bazel-bin", "push"), Dir: b.Dir, Env: []string{"BUILD_WORKSPACE_DIRECTORY=" + b.Dir}}
	return func(ctx context.Context) (scene.Usage, error) {
		b.bazel.Flags = append(flags, "--@rules_img//img/settings:push_strategy="+strategy)
		if _, _, err := b.bazel.Run(ctx, "build", "//:push"); err != nil {
			return scene.Usage{}, err
		}
		b.target.proxy.Reset()
		used, _, err := program.Run(ctx)
		return used, err
	}
}
