package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/bazel-contrib/rules_img/bench/scene"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// bench has what all measurements share.
type bench struct {
	rounds, many int
	craneMany    bool

	dir, img, crane string
	one             []scene.Image
	hundred         []scene.Image
}

func (b *bench) prepare(ctx context.Context, dir string) (err error) {
	b.dir = dir
	b.img = filepath.Join(dir, "img")
	if out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", b.img, "./cmd/img").CombinedOutput(); err != nil {
		return fmt.Errorf("build img: %w\n%s", err, out)
	}
	if b.crane, err = remotetest.Tool(ctx, "crane"); err != nil {
		return err
	}
	// 31 blobs and 63 MB; then images that share 25 layers and have a small layer of their own: 28 MB in all.
	if b.one, err = b.images(ctx, 1, 30, 2_100_000, 0); err != nil {
		return err
	}
	b.hundred, err = b.images(ctx, b.many, 25, 1_080_000, 10_000)
	return err
}

func (b *bench) images(ctx context.Context, n, shared, size, own int) ([]scene.Image, error) {
	var common [][]byte
	for i := range shared {
		common = append(common, blobtest.Bytes(fmt.Sprintf("%d of %d", i, shared), size))
	}
	var all []scene.Image
	for i := range n {
		layers := common
		if own > 0 {
			layers = append(slices.Clip(common), blobtest.Bytes(fmt.Sprintf("own %d", i), own))
		}
		made, err := makeImage(ctx, b.dir, layers...)
		if err != nil {
			return nil, err
		}
		if err := writeLayout(b.dir, b.layout(made), made); err != nil {
			return nil, err
		}
		all = append(all, made)
	}
	return all, nil
}

func (b *bench) layout(i scene.Image) string { return filepath.Join(b.dir, i.Root.Digest.Encoded()) }

// work is one row of the table.
type work struct {
	name   string
	images []scene.Image
	repo   func(i int) string
	again  bool // is measured when it was done before
	crane  int  // rounds of crane
}

func (b *bench) works() []work {
	each := func(i int) string { return fmt.Sprintf("app/%d", i) }
	same := func(int) string { return "app" }
	crane := 0
	if b.craneMany {
		crane = 1
	}
	return []work{
		{"one image, 31 blobs, 63 MB, new", b.one, same, false, b.rounds},
		{"the same again", b.one, same, true, b.rounds},
		{fmt.Sprintf("%d images in %d repositories", b.many, b.many), b.hundred, each, false, crane},
		{"the same again", b.hundred, each, true, crane},
		{fmt.Sprintf("%d images in one repository", b.many), b.hundred, same, false, crane},
	}
}

// sample is what one run took.
type sample struct {
	requests int
	sent     int64
	wall     time.Duration
	cpu      time.Duration
	memory   int64 // peak, of the largest process
}

func (b *bench) measure(ctx context.Context, w work, latency time.Duration) error {
	var img, crane []sample
	for round := range b.rounds {
		s, err := b.sample(ctx, w, latency, b.pushWithImg)
		if err != nil {
			return fmt.Errorf("img: %w", err)
		}
		img = append(img, s)
		if round < w.crane {
			if s, err = b.sample(ctx, w, latency, b.pushWithCrane); err != nil {
				return fmt.Errorf("crane: %w", err)
			}
			crane = append(crane, s)
		}
	}
	ours, theirs := median(img), median(crane)
	row := func(tool string, s sample, ratio string) {
		fmt.Printf("| %v | %s | %s | %d | %.1f MB | %.2f s | %s | %.2f s | %d MB |\n",
			latency, w.name, tool, s.requests, float64(s.sent)/1e6, s.wall.Seconds(), ratio, s.cpu.Seconds(), s.memory>>20)
	}
	if len(crane) == 0 {
		row("img", ours, "–")
		return nil
	}
	row("img", ours, fmt.Sprintf("%.2f", ours.wall.Seconds()/theirs.wall.Seconds()))
	row("crane", theirs, "1")
	return nil
}

// median takes each figure's own median.
func median(all []sample) (m sample) {
	if len(all) == 0 {
		return m
	}
	return sample{
		middle(all, func(s sample) int { return s.requests }),
		middle(all, func(s sample) int64 { return s.sent }),
		middle(all, func(s sample) time.Duration { return s.wall }),
		middle(all, func(s sample) time.Duration { return s.cpu }),
		middle(all, func(s sample) int64 { return s.memory }),
	}
}

func middle[T cmp.Ordered](all []sample, of func(sample) T) T {
	var values []T
	for _, s := range all {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

type pusher func(ctx context.Context, w work, registry string) (scene.Usage, error)

// sample runs push once, against a registry of its own.
func (b *bench) sample(ctx context.Context, w work, latency time.Duration, push pusher) (s sample, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	data, err := os.MkdirTemp(b.dir, "registry-")
	if err != nil {
		return s, err
	}
	defer os.RemoveAll(data)
	registry, stop, err := remotetest.Start(ctx, remotetest.KindDistribution, data)
	if err != nil {
		return s, err
	}
	defer stop()
	proxy := &remotetest.Proxy{Registry: registry}
	address, err := proxy.Serve(ctx)
	if err != nil {
		return s, err
	}
	if w.again {
		if _, err := push(ctx, w, address); err != nil {
			return s, err
		}
	}
	proxy.Reset()
	proxy.Latency = latency
	start := time.Now()
	used, err := push(ctx, w, address)
	if err != nil {
		return s, err
	}
	s.wall, s.cpu, s.memory = time.Since(start), used.CPU, used.Memory
	seen, sent := proxy.Reset()
	s.requests, s.sent = len(seen), sent
	return s, check(ctx, w, registry)
}

// check asks the registry, not through the proxy, for every blob.
func check(ctx context.Context, w work, registry string) error {
	client := remote.New(remote.Options{})
	for i, img := range w.images {
		r, err := client.Repository(oci.Reference{Registry: registry, Repository: w.repo(i)})
		if err != nil {
			return err
		}
		for _, d := range img.Blobs {
			if there, err := r.Has(ctx, d); err != nil || !there {
				return fmt.Errorf("%s of %s is not there: %v", d.Digest, w.repo(i), err)
			}
		}
	}
	return nil
}

func (b *bench) pushWithImg(ctx context.Context, w work, registry string) (scene.Usage, error) {
	var repositories []string
	for i := range w.images {
		repositories = append(repositories, w.repo(i))
	}
	plan := filepath.Join(b.dir, "plan.json")
	if err := writePlan(plan, registry, w.images, repositories); err != nil {
		return scene.Usage{}, err
	}
	used, _, err := scene.Program{Path: b.img, Env: []string{"RUNFILES_DIR=" + b.dir}}.Run(ctx, "deploy", plan)
	return used, err
}

func (b *bench) pushWithCrane(ctx context.Context, w work, registry string) (all scene.Usage, err error) {
	for i, img := range w.images {
		u, _, err := scene.Program{Path: b.crane}.Run(ctx, "push", b.layout(img), fmt.Sprintf("%s/%s:v%d", registry, w.repo(i), i))
		if err != nil {
			return all, err
		}
		all.CPU += u.CPU
		all.Memory = max(all.Memory, u.Memory)
	}
	return all, nil
}
