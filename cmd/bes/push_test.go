package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/bazel-contrib/rules_img/internal/bes"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// cache is tools/rexd: a remote cache that has both digest functions.
type cache struct {
	*testing.T
	address  string
	client   repb.ContentAddressableStorageClient
	function repb.DigestFunction_Value
}

// programs is where programs are built that tests share.
var programs string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "bes")
	if err != nil {
		panic(err)
	}
	programs = dir
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

var rexd = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(programs, "rexd")
	if out, err := exec.Command("go", "build", "-o", binary, "../../tools/rexd").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
})

func startCache(t *testing.T, function repb.DigestFunction_Value) cache {
	t.Helper()
	binary, err := rexd()
	must(t, err)
	cmd := exec.Command(binary, "--dir", t.TempDir())
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	c := cache{T: t, address: strings.TrimSpace(line), function: function}
	conn, err := grpc.NewClient(c.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	c.client = repb.NewContentAddressableStorageClient(conn)
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (c cache) hash(b []byte) string {
	h := newHash(c.function)
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil))
}

// put uploads, and returns what Bazel calls it.
func (c cache) put(b []byte) (uri string) {
	c.Helper()
	d := &repb.Digest{Hash: c.hash(b), SizeBytes: int64(len(b))}
	resp, err := c.client.BatchUpdateBlobs(c.Context(), &repb.BatchUpdateBlobsRequest{
		DigestFunction: c.function, Requests: []*repb.BatchUpdateBlobsRequest_Request{{Digest: d, Data: b}},
	})
	must(c, err)
	if s := resp.Responses[0].Status; s.GetCode() != 0 {
		c.Fatal(s)
	}
	function := ""
	if c.function == repb.DigestFunction_BLAKE3 {
		function = "blake3/"
	}
	return fmt.Sprintf("bytestream://a.name.of.the.client/instance/blobs/%s%s/%d", function, d.Hash, d.SizeBytes)
}

// built is an image, and a plan that names its blobs.
func (c cache) built(layers ...[]byte) (blobs []deploy.Blob, bodies [][]byte, root oci.Descriptor) {
	c.Helper()
	store := dir.Store{Root: c.TempDir(), Volatile: true}
	root = blobtest.Image(c, store, oci.Platform{OS: "linux", Architecture: "amd64"}, layers...)
	paths, err := filepath.Glob(filepath.Join(store.Root, "blobs", "sha256", "*"))
	must(c, err)
	for _, path := range paths {
		b, err := os.ReadFile(path)
		must(c, err)
		bodies = append(bodies, b)
		d := deploy.Blob{Descriptor: oci.Descriptor{Digest: oci.DigestOf(b), Size: int64(len(b))}, Output: "bazel-out/bin/" + filepath.Base(path)}
		if c.function == repb.DigestFunction_BLAKE3 {
			d.BLAKE3 = c.hash(b)
		}
		blobs = append(blobs, d)
	}
	return blobs, bodies, root
}

func (c cache) job(plan deploy.Plan) bes.Job {
	c.Helper()
	plan.Version, plan.Name = deploy.Version, "//:app"
	b, err := plan.Encode()
	must(c, err)
	return bes.Job{Invocation: "build", Target: "//:app", Plan: bes.File{Name: "app.plan.json", URI: c.put(b)}}
}

func (c cache) pusher(o options) *pusher {
	c.Helper()
	o.casEndpoint = "grpc://" + c.address
	p, err := newPusher(process{Getenv: os.Getenv}, o)
	must(c, err)
	c.Cleanup(p.close)
	return p
}

func pushTo(registry, repository, strategy string, root oci.Descriptor) deploy.Operation {
	return deploy.Operation{Kind: deploy.KindPush, Name: "//:app", Root: root, Registry: registry, Repository: repository, Tags: []string{"v1"}, Strategy: strategy}
}

func image(reference string) error {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return err
	}
	image, err := remote.Image(ref)
	if err != nil {
		return err
	}
	return validate.Image(image, validate.Fast)
}

// A layer of two chunks of ByteStream, and small blobs, by both digest functions; by the digest alone, whatever the client calls the cache.
func TestAPlanIsCarriedOutFromTheCache(t *testing.T) {
	for _, function := range []repb.DigestFunction_Value{repb.DigestFunction_SHA256, repb.DigestFunction_BLAKE3} {
		t.Run(function.String(), func(t *testing.T) {
			c, registry := startCache(t, function), remotetest.InMemory(t)
			blobs, bodies, root := c.built(tarball(t, 200_000), tarball(t, 10))
			for _, b := range bodies {
				c.put(b)
			}
			load := deploy.Operation{Kind: deploy.KindLoad, Name: "//:load", Root: root, Daemon: "docker", Strategy: "eager"}
			j := c.job(deploy.Plan{Blobs: blobs, Operations: []deploy.Operation{
				pushTo(registry, "by/bes", "bes", root), pushTo(registry, "by/hand", "eager", root), load,
			}})
			p := c.pusher(options{})
			for range 2 {
				got, err := p.Push(t.Context(), j)
				if want := []string{registry + "/by/bes@" + string(root.Digest), registry + "/by/bes:v1"}; err != nil || !slices.Equal(got.Names, want) {
					t.Errorf("pushed %q, %v: want %q", got.Names, err, want)
				}
				if notes := strings.Join(got.Notes, "\n"); !strings.Contains(notes, "//:app: not pushed: its strategy is eager") || !strings.Contains(notes, "//:load: not done: a load") {
					t.Errorf("notes are %s", notes)
				}
			}
			must(t, image(registry+"/by/bes:v1"))
			if err := image(registry + "/by/hand:v1"); err == nil {
				t.Error("an eager push was done by who only built it")
			}
			j.Asked = true
			if _, err := p.Push(t.Context(), j); err != nil {
				t.Error(err)
			}
			must(t, image(registry+"/by/hand:v1"))
		})
	}
}

// tarball is a layer of n bytes, near enough: nobody here looks inside.
func tarball(t *testing.T, n int) []byte { return blobtest.Bytes(t.Name(), n) }

func TestWhatIsNowhereIsNamed(t *testing.T) {
	c, registry := startCache(t, repb.DigestFunction_SHA256), remotetest.InMemory(t)
	blobs, bodies, root := c.built(tarball(t, 10))
	for _, b := range bodies {
		if len(b) != 10 {
			c.put(b)
		}
	}
	ops := []deploy.Operation{pushTo(registry, "app", "bes", root)}
	_, err := c.pusher(options{}).Push(t.Context(), c.job(deploy.Plan{Blobs: blobs, Operations: ops}))
	wantError(t, err, "push "+registry+"/app", "bazel-out/bin/"+oci.DigestOf(tarball(t, 10)).Encoded()+" of //:app", "not found", "hint: was it uploaded", "--noremote_upload_local_results")

	j := bes.Job{Plan: bes.File{Name: "x.plan.json", URI: "bytestream://cache/blobs/" + strings.Repeat("0", 64) + "/7"}}
	_, err = c.pusher(options{}).Push(t.Context(), j)
	wantError(t, err, "x.plan.json", "not found", "hint: was it uploaded")
}

// Bazel may tell what is done before it is in the cache.
func TestUploadsThatComeLateAreWaitedFor(t *testing.T) {
	c, registry := startCache(t, repb.DigestFunction_SHA256), remotetest.InMemory(t)
	blobs, bodies, root := c.built(tarball(t, 10))
	plan := deploy.Plan{Version: deploy.Version, Name: "//:app", Blobs: blobs, Operations: []deploy.Operation{pushTo(registry, "app", "bes", root)}}
	b, err := plan.Encode()
	must(t, err)
	j := bes.Job{Plan: bes.File{Name: "app.plan.json", URI: fmt.Sprintf("bytestream://c/blobs/%s/%d", oci.DigestOf(b).Encoded(), len(b))}}
	pushed := make(chan error, 1)
	go func() { _, err := c.pusher(options{uploadWait: time.Minute}).Push(t.Context(), j); pushed <- err }()
	for _, b := range append([][]byte{b}, bodies...) {
		time.Sleep(300 * time.Millisecond)
		c.put(b)
	}
	must(t, <-pushed)
	must(t, image(registry+"/app:v1"))
}

// From the registry of the base the layer is read; where the image goes to the same registry it is mounted.
func TestALayerOfTheBaseComesFromItsRegistry(t *testing.T) {
	c := startCache(t, repb.DigestFunction_SHA256)
	proxy, registry := remotetest.NewProxy(t, remotetest.Olareg(t), nil)
	other := remotetest.InMemory(t)
	blobs, bodies, root := c.built(tarball(t, 10))
	shared := blobtest.Describe(tarball(t, 10))
	for i, b := range bodies {
		if oci.DigestOf(b) == shared.Digest {
			blobs[i].Output = ""
			continue
		}
		c.put(b)
	}
	base, err := c.pusher(options{}).sessions.open().Sink(oci.Reference{Registry: registry, Repository: "base"})
	must(t, err)
	must(t, base.Put(t.Context(), shared, blobtest.Content(tarball(t, 10))))
	proxy.Reset()

	for to, read := range map[string]bool{registry: false, other: true} {
		plan := deploy.Plan{Blobs: blobs, Bases: []deploy.Base{{Registries: []string{registry}, Repository: "base"}}}
		plan.Operations = []deploy.Operation{pushTo(to, "app", "bes", root)}
		_, err = c.pusher(options{registries: places{to + "/app"}}).Push(t.Context(), c.job(plan))
		wantError(t, err, registry+"/base: this server does not read there (--allow-registry)")
		proxy.Reset()
		if _, err := c.pusher(options{}).Push(t.Context(), c.job(plan)); err != nil {
			t.Error(err)
		}
		seen, _ := proxy.Reset()
		if slices.ContainsFunc(seen, func(s remotetest.Seen) bool { return s.Method == "GET" && strings.HasPrefix(s.Path, "/v2/base/blobs/") }) != read {
			t.Errorf("a push to %s: the layer is read: %v\n%v", to, !read, seen)
		}
		must(t, image(to+"/app:v1"))
	}
}

func TestOtherRegistriesAreRefused(t *testing.T) {
	c := startCache(t, repb.DigestFunction_SHA256)
	blobs, _, root := c.built()
	j := c.job(deploy.Plan{Blobs: blobs, Operations: []deploy.Operation{pushTo("evil.test", "app", "bes", root)}})
	_, err := c.pusher(options{registries: places{"reg.test"}}).Push(t.Context(), j)
	wantError(t, err, "push of //:app: this server does not push to evil.test/app, only to reg.test")
}

// Bazel without a remote cache, on this machine.
func TestFilesAreReadWhereTheOperatorAllows(t *testing.T) {
	c, registry := startCache(t, repb.DigestFunction_SHA256), remotetest.InMemory(t)
	blobs, bodies, root := c.built(tarball(t, 10))
	allowed := t.TempDir()
	bin := filepath.Join(allowed, "execroot", "_main", "bazel-out", "bin")
	must(t, os.MkdirAll(filepath.Join(bin, "app.runfiles", "_main"), 0o755))
	for i, b := range bodies {
		path := filepath.Join(bin, oci.DigestOf(b).Encoded())
		if i == 0 {
			blobs[i].Output, blobs[i].File = "", "_main/blob"
			path = filepath.Join(bin, "app.runfiles", "_main", "blob")
		}
		write(t, path, b)
	}
	plan := deploy.Plan{Version: deploy.Version, Name: "//:app", Blobs: blobs, Operations: []deploy.Operation{pushTo(registry, "app", "bes", root)}}
	b, err := plan.Encode()
	must(t, err)
	path := filepath.Join(bin, "app.plan.json")
	write(t, path, b)
	j := bes.Job{Target: "//:app", Plan: bes.File{Name: "app.plan.json", URI: "file://" + path}}

	_, err = c.pusher(options{}).Push(t.Context(), j)
	wantError(t, err, path+" is only on the machine that ran Bazel", "hint: build with --remote_cache")
	_, err = c.pusher(options{allowFiles: t.TempDir()}).Push(t.Context(), j)
	wantError(t, err, "is not below --allow-files")
	link := filepath.Join(allowed, "link.plan.json")
	must(t, os.Symlink("/etc/passwd", link))
	_, err = c.pusher(options{allowFiles: allowed}).Push(t.Context(), bes.Job{Plan: bes.File{URI: "file://" + link}})
	wantError(t, err, "is not below --allow-files")

	if _, err := c.pusher(options{allowFiles: allowed}).Push(t.Context(), j); err != nil {
		t.Error(err)
	}
	must(t, image(registry+"/app:v1"))
}

func TestFilesThatAreNoPlans(t *testing.T) {
	c := startCache(t, repb.DigestFunction_SHA256)
	p := c.pusher(options{})
	for name, content := range map[string]string{
		"of another tool": `{"format_version": "1.2"}`, "with operations": `{"operations": ["ALTER TABLE"]}`, "no JSON": "text",
	} {
		j := bes.Job{Plan: bes.File{Name: "x.plan.json", Contents: []byte(content)}}
		got, err := p.Push(t.Context(), j)
		if err != nil || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "is no plan of rules_img") {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		j.Asked = true
		_, err = p.Push(t.Context(), j)
		wantError(t, err, "plan x.plan.json: is no plan of rules_img")
	}
}

// Rules and server may be of different versions. What one does not understand of the other is no success.
func TestPlansOfOtherVersionsFail(t *testing.T) {
	p := startCache(t, repb.DigestFunction_SHA256).pusher(options{})
	for content, want := range map[string]string{
		`{"version": 99, "operations": []}`: "version 99",
		`{"version": 99, "operations": {}}`: "version 99",
		`{"version": 0, "operations": []}`:  "build the target again",
		`{"version": 1, "operations": [{"kind": "fly", "name": "//:fly", "strategy": "bes", "root": {"digest": "sha256:` + strings.Repeat("0", 64) + `"}}]}`: `//:fly: this bes does not know operations of the kind "fly"`,
	} {
		_, err := p.Push(t.Context(), bes.Job{Plan: bes.File{Name: "x.plan.json", Contents: []byte(content)}})
		wantError(t, err, want)
	}
	got, err := p.Push(t.Context(), bes.Job{Asked: true, Plan: bes.File{Name: "x.plan.json", Contents: []byte(`{"version": 1, "operations": null}`)}})
	if err != nil || len(got.Names) > 0 {
		t.Errorf("of a plan for nothing: %v, %v", got, err)
	}
}

func TestOtherURIsAreRefused(t *testing.T) {
	c := startCache(t, repb.DigestFunction_SHA256)
	p := c.pusher(options{})
	hash := strings.Repeat("0", 64)
	for uri, want := range map[string]string{
		"http://169.254.169.254/x":                    "want bytestream:// or file://",
		"bytestream://c/uploads/x":                    "names no blob",
		"bytestream://c/blobs/sha512/" + hash + "/1":  "other digest functions are not known",
		"bytestream://c/blobs/" + hash[1:] + "/1":     "is no digest",
		"bytestream://c/blobs/../../etc/1":            "want blobs/HASH/SIZE",
		"bytestream://c/blobs/" + hash + "/-1":        "want at most",
		"bytestream://c/blobs/" + hash + "/999999999": "want at most",
	} {
		_, err := p.Push(t.Context(), bes.Job{Plan: bes.File{Name: "x", URI: uri}})
		wantError(t, err, want)
	}
}

func wantError(t *testing.T, err error, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v: want %q", err, want)
		}
	}
}

// FuzzParseResource checks that what is taken for a name of a blob is one.
func FuzzParseResource(f *testing.F) {
	f.Add("/instance/blobs/" + strings.Repeat("ab", 32) + "/5")
	f.Add("/blobs/blake3/" + strings.Repeat("ab", 32) + "/5")
	f.Fuzz(func(t *testing.T, path string) {
		key, size, err := parseResource(path)
		if err == nil && (len(key.Hash) != 64 || size < 0 || size > deploy.MaxSize || newHash(key.Function) == nil) {
			t.Errorf("%q is %v, %d", path, key, size)
		}
	})
}
