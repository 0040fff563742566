// Command monorepo measures what 1,300 images cost in one workspace: analysis, builds after changes, and pushes to a registry that is
// 20 ms away.
//
//	go run ./bench/monorepo [-images 1300] [-multi 100] [-latency 20ms] [-strategies eager,lazy,…] [-write docs/performance.md]
//
// The images stand on one base of 10 layers, each has some of five shared layers and a small one of its own, and the first -multi are for two
// platforms. Bazel and its remote cache are real ones, the registry is distribution (for cas_registry this project's), with a proxy before it
// that counts and delays.
// CPU is that of Bazel's server, all that it starts, and the program itself.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/bazel-contrib/rules_img/bench/scene"
)

func main() {
	images := flag.Int("images", 1300, "how many images")
	multi := flag.Int("multi", 100, "how many of them are for two platforms")
	latency := flag.Duration("latency", 20*time.Millisecond, "how far away the registry is")
	strategies := flag.String("strategies", "eager,lazy,cas_registry,bes", "strategies of pushes, separated by commas")
	write := flag.String("write", "", "a Markdown file whose table to replace")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b := bench{latency: *latency}
	if err := b.run(ctx, *images, *multi, strings.Split(*strategies, ","), *write); err != nil {
		fmt.Fprintln(os.Stderr, "bench/monorepo:", err)
		os.Exit(1)
	}
}

type bench struct {
	scene.Monorepo
	latency        time.Duration
	bazel          *scene.Bazel
	target         registry
	programs       string   // the directory of the servers
	cache          string   // the endpoint of the remote cache, once there is one
	env            []string // of the run target
	builds, pushes []string // rows
}

func (b *bench) run(ctx context.Context, images, multi int, strategies []string, write string) (err error) {
	root, err := filepath.Abs(".")
	if err != nil {
		return err
	}
	if b.programs, err = scene.BuildPrograms(ctx, "./cmd/registry", "./cmd/bes"); err != nil {
		return err
	}
	defer os.RemoveAll(b.programs)
	ctx, stop := scene.WithServers(ctx)
	defer stop()
	if err := b.target.open(ctx, b.latency); err != nil {
		return err
	}
	defer b.target.close()
	if b.Monorepo, err = scene.NewMonorepo(root, "monorepo", b.target.address, images, multi); err != nil {
		return err
	}
	if b.bazel, err = scene.FindBazel(ctx, root, b.Dir); err != nil {
		return err
	}
	defer func() { b.bazel.Stop(context.WithoutCancel(ctx)) }()
	if err := b.measureBuilds(ctx); err != nil {
		return err
	}
	for _, s := range strategies {
		if err := b.measurePushes(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return b.report(write)
}

// measureBuilds measures what Bazel does, without pushing.
func (b *bench) measureBuilds(ctx context.Context) error {
	if _, _, err := b.bazel.Run(ctx, "build", "//base"); err != nil { // the tool is built, the JVM is warm
		return err
	}
	for _, row := range []struct {
		name   string
		change func() error
		args   []string
	}{
		{"analysis", nil, []string{"--nobuild"}},
		{"build, clean", nil, nil},
		{"build, nothing changed", nil, nil},
		{"build, one shared file changed", b.ChangeShared, nil},
		{"build, ten private files changed", func() error { return b.ChangePrivate(10) }, nil},
	} {
		if row.change != nil {
			if err := row.change(); err != nil {
				return err
			}
		}
		build, _, err := b.bazel.Run(ctx, "build", append(row.args, "//:push")...)
		if err != nil {
			return fmt.Errorf("%s: %w", row.name, err)
		}
		b.builds = append(b.builds, fmt.Sprintf("| %s | %.1f s | %.1f s | %d MB | %d MB | %d |", row.name,
			build.Wall.Seconds(), build.CPU.Seconds(), build.Memory>>20, build.Tool>>20, build.Actions))
		fmt.Fprintln(os.Stderr, b.builds[len(b.builds)-1])
	}
	return nil
}

// measurePushes pushes all images to an empty registry, again, and after ten of them changed.
func (b *bench) measurePushes(ctx context.Context, strategy string) error {
	if err := b.target.empty(ctx); err != nil {
		return err
	}
	way, err := ways[strategy](ctx, b)
	if err != nil {
		return err
	}
	for _, name := range []string{"all new", "nothing changed", "ten changed"} {
		if name == "ten changed" {
			if err := b.ChangePrivate(10); err != nil {
				return err
			}
		}
		u, err := way(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		requests, sent := b.target.counted()
		b.pushes = append(b.pushes, fmt.Sprintf("| %s | %s | %.1f s | %.1f s | %d MB | %d | %.1f MB |", strategy, name,
			u.Wall.Seconds(), u.CPU.Seconds(), u.Memory>>20, requests, float64(sent)/1e6))
		fmt.Fprintln(os.Stderr, b.pushes[len(b.pushes)-1])
	}
	return nil
}

func (b *bench) report(write string) error {
	lines := []string{
		"| work | wall | CPU | peak memory of Bazel | of the tool | actions run |",
		"|---|---:|---:|---:|---:|---:|",
	}
	lines = append(lines, b.builds...)
	lines = append(lines, "", "| strategy | push of all | wall | CPU | peak memory of the tool | requests | bytes sent |", "|---|---|---:|---:|---:|---:|---:|")
	table := strings.Join(append(lines, b.pushes...), "\n") + "\n"
	if write == "" {
		fmt.Print(table)
		return nil
	}
	return scene.Replace(write, "bench/monorepo", table)
}
