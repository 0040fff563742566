//go:build linux

package daemons_test

import (
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// slightly is the most that a load of an image that changed a little may send: the layer, the config, the manifest, and
// the talk around it.
const slightly = 64 << 10

func names(t testing.TB, all ...string) []daemon.Name {
	t.Helper()
	var ns []daemon.Name
	for _, s := range all {
		n, err := daemon.ParseName(s)
		if err != nil {
			t.Fatal(err)
		}
		ns = append(ns, n)
	}
	return ns
}

func load(t testing.TB, to daemon.Daemon, im daemon.Image) daemon.Loaded {
	t.Helper()
	done, err := to.Load(t.Context(), im)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return done
}

// testIncremental loads an image, one that differs in a small layer, and that one again, and checks what each load
// moved. p counts, if it is not nil, what went over the socket.
func testIncremental(t *testing.T, to daemon.Daemon, p *proxy, seed string) {
	t.Helper()
	source := &mem.Store{}
	one, two := app(t, source, seed, "one"), app(t, source, seed, "two")
	var moved blob.Counter
	counted := moved.Source("memory", source)
	send := func(root oci.Descriptor, name string) (done daemon.Loaded, sent int64) {
		t.Helper()
		do := func() { done = load(t, to, daemon.Image{Root: root, Source: counted, Names: names(t, name)}) }
		if p == nil {
			do()
			return done, done.Report.Moved.Bytes
		}
		return done, p.during(do)
	}
	dry := load(t, to, daemon.Image{Root: one, Source: source, Names: names(t, seed+":dry"), Dry: true})
	if dry.Report.Moved.Blobs != 5 || len(dry.Names) != 1 {
		t.Errorf("a dry run would move %d blobs of 5, and name %q", dry.Report.Moved.Blobs, dry.Names)
	}
	done, sent := send(one, seed+":one")
	if sent < large || done.Report.Moved.Blobs != 5 || len(done.Notes) > 0 {
		t.Errorf("the first load sent %d bytes, and moved %d blobs of 5 (%q)", sent, done.Report.Moved.Blobs, done.Notes)
	}
	read := moved.Tallys()[0].Bytes
	done, sent = send(two, seed+":two")
	if sent > slightly || done.Report.Moved.Blobs != 3 || len(done.Notes) > 0 {
		t.Errorf("the second load sent %d bytes, and moved %d blobs; want the layer, the config and the manifest (%q)", sent, done.Report.Moved.Blobs, done.Notes)
	}
	if n := moved.Tallys()[0].Bytes - read; n > slightly {
		t.Errorf("the second load read %d bytes of the image", n)
	}
	done, sent = send(two, seed+":again")
	if sent > slightly || done.Report.Moved.Blobs != 0 {
		t.Errorf("the third load sent %d bytes, and moved %d blobs of an image that is there", sent, done.Report.Moved.Blobs)
	}
}
