//go:build linux

package daemons_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon/containerd"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

func eachSuite(t *testing.T, do func(t *testing.T, suite string)) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) { do(t, suite) })
	}
}

func dialContainerd(t testing.TB, socket, namespace string) *containerd.Client {
	t.Helper()
	c, err := containerd.Dial(socket, namespace)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func leased(t *testing.T, c *containerd.Client) *containerd.Store {
	t.Helper()
	s, release, err := c.Leased(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return s
}

// TestContainerdIsAStore runs the suite of all stores, each in a namespace of its own. Namespaces are isolated, since a
// containerd that shares blobs among them takes what it knows without reading it.
func TestContainerdIsAStore(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		needRoot(t)
		d, err := launch("containerd", suite, "[plugins.\"io.containerd.metadata.v1.bolt\"]\n  content_sharing_policy = \"isolated\"\n")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(d.stop)
		var n atomic.Int64
		blobtest.Test(t, func(t *testing.T) blobtest.Store {
			return leased(t, dialContainerd(t, d.socket(), fmt.Sprintf("test-%d", n.Add(1))))
		})
	})
}

func TestContainerdTakesWhatItLacks(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		d := start(t, "containerd", suite)
		p := newProxy(t, d.socket())
		testIncremental(t, dialContainerd(t, p.path, "default"), p, "incremental")
		list := d.ctr(t, "default", "images", "ls", "-q")
		for _, name := range []string{"one", "two", "again"} {
			if !strings.Contains(list, "docker.io/library/incremental:"+name) {
				t.Errorf("ctr lists %q, without %s", list, name)
			}
		}
		if out := d.ctrRun(t, "default", "docker.io/library/incremental:two"); out != "two" {
			t.Errorf("the image prints %q", out)
		}
	})
}

// TestContainerdTakesNoMoreThanJobsAtOnce counts what is put.
func TestContainerdTakesNoMoreThanJobsAtOnce(t *testing.T) {
	d := start(t, "containerd", "forky")
	source := &mem.Store{}
	var at countedSink
	load(t, dialContainerd(t, d.socket(), "jobs"), daemon.Image{
		Root: app(t, source, "jobs", "jobs"), Source: source, Names: names(t, "jobs"), Jobs: 1,
		Watch: func(s blob.Sink) blob.Sink { at.Sink = s; return &at },
	})
	if at.most.Load() != 1 || at.puts.Load() != 5 {
		t.Errorf("took %d blobs, %d at once; want 5, one after another", at.puts.Load(), at.most.Load())
	}
}

// countedSink counts how many blobs are put, and how many at once.
type countedSink struct {
	blob.Sink
	puts, now, most atomic.Int64
}

func (s *countedSink) Put(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	s.puts.Add(1)
	if now := s.now.Add(1); now > s.most.Load() {
		s.most.Store(now)
	}
	defer s.now.Add(-1)
	return s.Sink.Put(ctx, d, src)
}

func TestContainerdKeepsWhatIsNamed(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		d := start(t, "containerd", suite)
		source := &mem.Store{}
		root := blobtest.Index(t, source, app(t, source, "kept", "kept"), image(t, source, other, gzipped(t, file{"x", 0o644, []byte("other")})))
		c := dialContainerd(t, d.socket(), "kept")
		load(t, c, daemon.Image{Root: root, Source: source, Names: names(t, "kept")})
		// Removing another image synchronously collects what nothing refers to, now that the lease is gone.
		load(t, c, daemon.Image{Root: app(t, source, "removed", "removed"), Source: source, Names: names(t, "removed")})
		d.ctr(t, "kept", "images", "rm", "--sync", "docker.io/library/removed:latest")
		if out := d.ctrRun(t, "kept", "docker.io/library/kept:latest"); out != "kept" {
			t.Errorf("the image prints %q", out)
		}
		if n := len(strings.Fields(d.ctr(t, "kept", "content", "ls", "-q"))); n != 6 {
			t.Errorf("%d blobs are there; want 3 layers, a config, a manifest and the index", n)
		}
	})
}

func TestContainerdSharesBlobsBetweenNamespaces(t *testing.T) {
	d := start(t, "containerd", "forky")
	source := &mem.Store{}
	root := app(t, source, "shared", "shared")
	load(t, dialContainerd(t, d.socket(), "here"), daemon.Image{Root: root, Source: source, Names: names(t, "shared")})
	done := load(t, dialContainerd(t, d.socket(), "there"), daemon.Image{Root: root, Source: source, Names: names(t, "shared")})
	if done.Report.Moved.Bytes > slightly || done.Report.Mounted.Bytes < large {
		t.Errorf("moved %d bytes and took %d from the other namespace", done.Report.Moved.Bytes, done.Report.Mounted.Bytes)
	}
	if out := d.ctrRun(t, "there", "docker.io/library/shared:latest"); out != "shared" {
		t.Errorf("the image prints %q", out)
	}
}

// TestContainerdMendsHalfAnImage loads an image of which a manifest is there without its layers.
func TestContainerdMendsHalfAnImage(t *testing.T) {
	d := start(t, "containerd", "forky")
	source := &mem.Store{}
	root := app(t, source, "half", "half")
	c := dialContainerd(t, d.socket(), "half")
	noLayers := func(d oci.Descriptor) bool { return !oci.IsManifest(d.MediaType) && d.MediaType != oci.MediaTypeConfig }
	if _, err := blob.Copy(t.Context(), leased(t, c), source, blob.CopyOptions{Leave: noLayers}, root); err != nil {
		t.Fatal(err)
	}
	load(t, c, daemon.Image{Root: root, Source: source, Names: names(t, "half")})
	if out := d.ctrRun(t, "half", "docker.io/library/half:latest"); out != "half" {
		t.Errorf("the image prints %q", out)
	}
}

func TestContainerdTakesPlatforms(t *testing.T) {
	d := start(t, "containerd", "forky")
	source := &mem.Store{}
	theirs := image(t, source, other, gzipped(t, file{"x", 0o644, []byte("platforms")}))
	root := blobtest.Index(t, source, theirs, app(t, source, "platforms", "platforms"))
	for name, test := range map[string]struct {
		platforms string
		blobs     int
	}{
		"the daemon's own": {"", 6},
		"another":          {oci.FormatPlatform(other), 4},
		"both":             {oci.FormatPlatform(other) + "," + oci.FormatPlatform(own), 9},
		"all":              {"all", 9},
	} {
		t.Run(name, func(t *testing.T) {
			var platforms daemon.Platforms
			if test.platforms != "" {
				var err error
				if platforms, err = daemon.ParsePlatforms(test.platforms); err != nil {
					t.Fatal(err)
				}
			}
			namespace := strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), "'", "")
			c := dialContainerd(t, d.socket(), namespace)
			done := load(t, c, daemon.Image{Root: root, Source: source, Names: names(t, "platforms"), Platforms: platforms})
			if n := len(strings.Fields(d.ctr(t, namespace, "content", "ls", "-q"))); n != test.blobs || done.Root.Digest != root.Digest {
				t.Errorf("%d blobs are there; want %d", n, test.blobs)
			}
			again := load(t, c, daemon.Image{Root: root, Source: source, Names: names(t, "platforms"), Platforms: platforms})
			if again.Report.Moved.Blobs != 0 {
				t.Errorf("the same again moved %d blobs", again.Report.Moved.Blobs)
			}
			if load(t, c, daemon.Image{Root: root, Source: source, Names: names(t, "platforms"), Platforms: daemon.Platforms{All: true}}); true {
				if n := len(strings.Fields(d.ctr(t, namespace, "content", "ls", "-q"))); n != 9 {
					t.Errorf("%d blobs are there after all platforms; want 9", n)
				}
			}
		})
	}
	t.Run("one that is not there", func(t *testing.T) {
		platforms := daemon.Platforms{Wanted: []oci.Platform{{OS: "linux", Architecture: "riscv64"}}}
		_, err := dialContainerd(t, d.socket(), "none").Load(t.Context(), daemon.Image{Root: root, Source: source, Platforms: platforms})
		if err == nil || !strings.Contains(err.Error(), "linux/s390x") {
			t.Errorf("error is %v; want it to name what there is", err)
		}
	})
}

func TestContainerdWritesNames(t *testing.T) {
	d := start(t, "containerd", "forky")
	source := &mem.Store{}
	root := app(t, source, "names", "names")
	c := dialContainerd(t, d.socket(), "names")
	load(t, c, daemon.Image{Root: root, Source: source, Names: names(t, "app", "team/app:v1", "localhost:5000/app", "ghcr.io/a/b:c",
		"pinned@"+string(root.Digest))})
	load(t, c, daemon.Image{Root: root, Source: source})
	got := strings.Fields(d.ctr(t, "names", "images", "ls", "-q"))
	want := []string{"docker.io/library/app:latest", "docker.io/library/pinned@" + string(root.Digest), "docker.io/team/app:v1", "ghcr.io/a/b:c",
		"import@" + string(root.Digest), "localhost:5000/app:latest"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("names are %q; want %q", got, want)
	}
}

func TestContainerdThatIsNotThere(t *testing.T) {
	_, err := dialContainerd(t, "/nonexistent/containerd.sock", "default").Load(t.Context(), daemon.Image{Root: oci.Describe(oci.MediaTypeManifest, nil)})
	if err == nil || !strings.Contains(err.Error(), "/nonexistent/containerd.sock") || !strings.Contains(err.Error(), "CONTAINERD_ADDRESS") {
		t.Errorf("error is %v; want it to say where nothing listens and what to do", err)
	}
}
