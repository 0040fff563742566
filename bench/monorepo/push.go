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
	r.close()
	if r.dir, err = os.MkdirTemp("", "bench-registry-"); err != nil {
		return err
	}
	r.proxy.Registry, r.stop, err = remotetest.Start(ctx, remotetest.KindDistribution, r.dir)
	return err
}

// close stops the registry that is behind the proxy, if there is one.
func (r *registry) close() {
	if r.stop != nil {
		r.stop()
		os.RemoveAll(r.dir)
	}
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
		flags, err := b.cached(ctx)
		return b.runTarget("lazy", flags...), err
	},
	"cas_registry": func(ctx context.Context, b *bench) (way, error) {
		flags, err := b.cached(ctx)
		if err != nil {
			return nil, err
		}
		commits, err := b.serveFromCache(ctx)
		b.env = append(b.env, "IMG_BLOB_CACHE_ENDPOINT=grpc://"+commits)
		return b.runTarget("cas_registry", flags...), err
	},
	"bes": func(ctx context.Context, b *bench) (way, error) {
		flags, err := b.cached(ctx)
		if err != nil {
			return nil, err
		}
		return b.buildTarget(ctx, flags)
	},
}

// cached has everything built again, into a remote cache, and returns the flags for that.
func (b *bench) cached(ctx context.Context) (flags []string, err error) {
	if b.cache == "" {
		if b.cache, err = scene.StartCache(ctx); err != nil {
			return nil, err
		}
		if _, _, err = b.bazel.Run(ctx, "clean"); err != nil {
			return nil, err
		}
	}
	return []string{"--remote_cache=" + b.cache, "--@rules_img//img/settings:remote_cache=" + b.cache, "--remote_download_minimal"}, nil
}

// serveFromCache puts a registry over the cache behind the proxy, and returns where it is told what is there.
func (b *bench) serveFromCache(ctx context.Context) (commits string, err error) {
	if commits, err = scene.FreeAddress(); err != nil {
		return "", err
	}
	b.target.proxy.Registry, err = scene.ServeAnywhere(ctx, filepath.Join(b.programs, "registry"), "--port", "0", "--dir", filepath.Join(b.programs, "data"), "--quiet",
		"--blob-store", "dir", "--blob-store", "reapi", "--reapi-endpoint", b.cache, "--enable-blobcache", "--grpc-port", scene.Port(commits))
	return commits, err
}

// runTarget builds the push, and runs it as bazel run does.
func (b *bench) runTarget(strategy string, flags ...string) way {
	return func(ctx context.Context) (scene.Usage, error) {
		b.bazel.Flags = append(flags, "--@rules_img//img/settings:push_strategy="+strategy)
		if _, _, err := b.bazel.Run(ctx, "build", "//:push"); err != nil {
			return scene.Usage{}, err
		}
		b.target.proxy.Reset()
		program := scene.Program{Path: filepath.Join(b.Dir, "bazel-bin", "push"), Dir: b.Dir, Env: append(b.env, "BUILD_WORKSPACE_DIRECTORY="+b.Dir)}
		used, _, err := program.Run(ctx)
		return used, err
	}
}

// buildTarget builds the push, which a build event service carries out before the build ends. It says what the build took and what the
// service used.
func (b *bench) buildTarget(ctx context.Context, flags []string) (way, error) {
	server, err := scene.Start(ctx, os.Stderr, 1, filepath.Join(b.programs, "bes"), "--port", "0", "--state", filepath.Join(b.programs, "state"),
		"--cas-endpoint", b.cache, "--commit-mode", "per-stream", "--quiet")
	if err != nil {
		return nil, err
	}
	with := "--bes_backend=grpc://" + server.Addresses[0]
	return func(ctx context.Context) (scene.Usage, error) {
		b.bazel.Flags = append(flags, "--@rules_img//img/settings:push_strategy=bes")
		if _, _, err := b.bazel.Run(ctx, "build", "//:push"); err != nil { // what the others don't count either
			return scene.Usage{}, err
		}
		b.target.proxy.Reset()
		before := scene.TreeTime(server.PID)
		build, _, err := b.bazel.Run(ctx, "build", "//:push", with)
		return scene.Usage{Wall: build.Wall, CPU: scene.TreeTime(server.PID) - before, Memory: scene.HighWater(server.PID)}, err
	}, nil
}
