package remote_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

var linux = oci.Platform{OS: "linux", Architecture: "amd64"}

// layers are n layers of about size bytes, told apart by seed.
func layers(seed string, n, size int) [][]byte {
	var all [][]byte
	for i := range n {
		all = append(all, blobtest.Bytes(fmt.Sprint(seed, i), size+i))
	}
	return all
}

// push copies root into a repository of c as a run of the program does, and checks that it is there.
func push(t *testing.T, c *remote.Client, registry, name string, src blob.Source, root oci.Descriptor) blob.Report {
	t.Helper()
	report, err := blob.Copy(t.Context(), quick.Sink(open(t, c, registry, name)), src, blob.CopyOptions{}, root)
	if err != nil {
		t.Fatalf("push to %s: %v", name, err)
	}
	return report
}

// quick retries without much waiting.
var quick = blob.Retry{Wait: 1}

// wantWhole pulls all of root and compares.
func wantWhole(t *testing.T, registry, name string, root oci.Descriptor) {
	t.Helper()
	from := open(t, remote.New(remote.Options{}), registry, name)
	var to mem.Store
	if _, err := blob.Copy(t.Context(), &to, blob.Verify("registry", from), blob.CopyOptions{}, root); err != nil {
		t.Errorf("pull from %s: %v", name, err)
	}
}

// tally counts requests by method, and by what they are for.
func tally(seen []remotetest.Seen) map[string]int {
	n := map[string]int{}
	for _, s := range seen {
		what := "manifest"
		if strings.Contains(s.Path, "/blobs/") {
			what = "blob"
		}
		n[s.Method+" "+what]++
	}
	return n
}

func wantRequests(t *testing.T, seen []remotetest.Seen, want map[string]int) {
	t.Helper()
	got := tally(seen)
	for k, n := range want {
		if got[k] != n {
			t.Errorf("%d requests %s; want %d (all: %v)", got[k], k, n, got)
		}
		delete(got, k)
	}
	if len(got) > 0 {
		t.Errorf("requests nobody wants: %v", got)
	}
}

func TestANewImageTakesTwoRequestsForEachBlob(t *testing.T) {
	proxy, address := remotetest.NewProxy(t, remotetest.Distribution(t), nil)
	var src mem.Store
	root := blobtest.Image(t, &src, linux, layers("new", 30, 5000)...)

	push(t, remote.New(remote.Options{}), address, "app", &src, root)
	seen, _ := proxy.Reset()
	wantRequests(t, seen, map[string]int{"HEAD manifest": 1, "POST blob": 31, "PUT blob": 31, "PUT manifest": 1})

	push(t, remote.New(remote.Options{}), address, "app", &src, root)
	seen, sent := proxy.Reset()
	wantRequests(t, seen, map[string]int{"HEAD manifest": 1})
	if sent != 0 {
		t.Errorf("the second push sent %d bytes", sent)
	}
	wantWhole(t, address, "app", root)
}

func TestAChangedImageSendsWhatChanged(t *testing.T) {
	for name, start := range startRegistries {
		t.Run(name, func(t *testing.T) {
			proxy, address := remotetest.NewProxy(t, start(t), nil)
			var src mem.Store
			same := layers("same", 5, 100_000)
			push(t, remote.New(remote.Options{}), address, "app", &src, blobtest.Image(t, &src, linux, same...))
			proxy.Reset()
			changed := blobtest.Image(t, &src, linux, append(same, []byte("changed"))...)
			report := push(t, remote.New(remote.Options{}), address, "app", &src, changed)
			if _, sent := proxy.Reset(); sent > 10_000 {
				t.Errorf("sent %d bytes for a small layer, a config and a manifest", sent)
			}
			if report.Mounted.Blobs != 5 || report.Moved.Blobs != 3 {
				t.Errorf("report is %+v; want 5 mounted and 3 moved", report)
			}
		})
	}
}

// TestSharedBlobsGoUpOnce pushes many images at once to repositories of their own.
func TestSharedBlobsGoUpOnce(t *testing.T) {
	const images, shared = 20, 5
	proxy, address := remotetest.NewProxy(t, remotetest.Distribution(t), nil)
	var src mem.Store
	common := layers("shared", shared, 50_000)
	client := remote.New(remote.Options{})
	var all errgroup.Group
	for i := range images {
		root := blobtest.Image(t, &src, linux, append(common, fmt.Appendf(nil, "own %d", i))...)
		all.Go(func() error {
			to := open(t, client, address, fmt.Sprint("app", i))
			_, err := blob.Copy(t.Context(), to, &src, blob.CopyOptions{}, root)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	seen, _ := proxy.Reset()
	wantRequests(t, seen, map[string]int{
		"HEAD manifest": images, "PUT manifest": images,
		"POST blob": shared*images + 2*images, "PUT blob": shared + 2*images,
	})
}

// TestAHintedBlobIsMounted is how the layers of a base come into a repository.
func TestAHintedBlobIsMounted(t *testing.T) {
	proxy, address := remotetest.NewProxy(t, remotetest.Distribution(t), nil)
	var src mem.Store
	base := layers("base", 3, 50_000)
	push(t, remote.New(remote.Options{}), address, "base", &src, blobtest.Image(t, &src, linux, base...))
	proxy.Reset()

	client := remote.New(remote.Options{})
	for _, wrong := range []string{"not/there", "base"} {
		for _, b := range base {
			if err := client.Hint(reference(address, wrong), blobtest.Describe(b)); err != nil {
				t.Fatal(err)
			}
		}
	}
	root := blobtest.Image(t, &src, linux, append(base, []byte("own"))...)
	report := push(t, client, address, "app", &src, root)
	if report.Mounted.Blobs != 3 {
		t.Errorf("report is %+v; want 3 mounted", report)
	}
	wantWhole(t, address, "app", root)
}

func TestTagsOfAnImageThatIsThereCostOneRequestEach(t *testing.T) {
	proxy, address := remotetest.NewProxy(t, remotetest.Distribution(t), nil)
	var src mem.Store
	root := blobtest.Image(t, &src, linux, []byte("layer"))
	push(t, remote.New(remote.Options{}), address, "app", &src, root)
	proxy.Reset()

	r := open(t, remote.New(remote.Options{}), address, "app")
	missing, err := r.Missing(t.Context(), root)
	if err != nil || len(missing) > 0 {
		t.Fatalf("missing: %v, %v", missing, err)
	}
	if err := r.Put(t.Context(), root, &src); err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"one", "two"} {
		if err := r.Tag(t.Context(), root, tag); err != nil {
			t.Fatal(err)
		}
	}
	seen, _ := proxy.Reset()
	wantRequests(t, seen, map[string]int{"HEAD manifest": 1, "PUT manifest": 2})
}

// refuse answers a request with an OCI error.
func refuse(w http.ResponseWriter, status int, code, message string) bool {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, code, message)
	return true
}

// TestATagIsAskedForItsManifest: by one request, that moves no content.
func TestATagIsAskedForItsManifest(t *testing.T) {
	proxy, address := remotetest.NewProxy(t, remotetest.Distribution(t), nil)
	var src mem.Store
	root, other := blobtest.Image(t, &src, linux, []byte("one")), blobtest.Image(t, &src, linux, []byte("two"))
	c := remote.New(remote.Options{})
	push(t, c, address, "app", &src, root)
	if err := open(t, c, address, "app").Tag(t.Context(), root, "v1"); err != nil {
		t.Fatal(err)
	}
	proxy.Reset()
	for _, row := range []struct {
		what string
		tag  string
		d    oci.Descriptor
		want bool
	}{
		{"the tag names it", "v1", root, true},
		{"the tag names another", "v1", other, false},
		{"there is no such tag", "v2", root, false},
	} {
		fresh := open(t, remote.New(remote.Options{}), address, "app")
		if has, err := fresh.HasTag(t.Context(), row.d, row.tag); err != nil || has != row.want {
			t.Errorf("%s: %v, %v", row.what, has, err)
		}
		seen, _ := proxy.Reset()
		wantRequests(t, seen, map[string]int{"HEAD manifest": 1})
	}
	if _, err := open(t, c, address, "app").HasTag(t.Context(), root, "not a tag"); err == nil {
		t.Error("what is no tag was asked for")
	}
}
