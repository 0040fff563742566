//go:build linux

package daemons_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/layout"
)

// BenchmarkSecondLoad loads an image of 240 MB after one small layer of it has changed: by our adapter, and as an
// archive by the daemon's own command, which is the shortest that there was before.
func BenchmarkSecondLoad(b *testing.B) {
	source := &mem.Store{}
	large := below(b, "benchmark")[1:]
	for i := range 6 {
		large = append(large, gzipped(b, file{fmt.Sprint("large-", i), 0o644, blobtest.Bytes(fmt.Sprint("benchmark-", i), 40<<20)}))
	}
	n := 0
	next := func() daemon.Image {
		n++
		changed := gzipped(b, file{"message", 0o644, fmt.Appendf(nil, "version %d", n)})
		return daemon.Image{Root: image(b, source, own, append(large[:len(large):len(large)], changed)...), Source: source, Names: names(b, "benchmark")}
	}
	for _, kind := range []string{"containerd", "docker-overlay2", "docker-containerd", "podman"} {
		d := start(b, kind, "forky")
		load(b, dial(b, d), next())
		b.Run(kind+" adapter", func(b *testing.B) {
			p := newProxy(b, d.socket())
			for b.Loop() {
				load(b, dial(b, &process{kind: d.kind, front: p.path}), next())
			}
			b.ReportMetric(float64(p.sent.Load())/float64(b.N), "B-sent/op")
		})
		b.Run(kind+" archive", func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				im, archive := next(), filepath.Join(d.dir, "archive.tar")
				writeArchive(b, archive, source, layout.Image{Root: im.Root, Names: []string{"docker.io/library/benchmark:latest"}})
				b.StartTimer()
				switch kind {
				case "containerd":
					d.ctr(b, "default", "images", "import", "--no-unpack", archive)
				case "podman":
					d.podman(b, "load", "-q", "-i", archive)
				default:
					d.docker(b, "load", "-q", "-i", archive)
				}
			}
		})
	}
}
