// Package faults_test kills the real programs, fills the disks under them, cuts their connections, lies to them, and feeds them what is
// made to break them. After each fault nothing half-written may be there, and the next run must succeed.
package faults_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/manifest"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

var (
	linux    = oci.Platform{OS: "linux", Architecture: "amd64"}
	programs string // where they are, for everybody to run
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	var err error
	if programs, err = os.MkdirTemp("", "faults-"); err == nil {
		defer os.RemoveAll(programs)
		err = os.Chmod(programs, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	build := exec.Command("go", "build", "-o", programs+"/", "./cmd/img", "./cmd/registry", "./cmd/bes")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// img is a command of the tool, which writes what it says to the buffer that is its Stderr.
func img(args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(programs, "img"), args...)
	c.Env = []string{"HOME=" + programs, "IMG_FRAME_CACHE=off"}
	c.Stderr = new(bytes.Buffer)
	return c
}

func said(c *exec.Cmd) string { return c.Stderr.(*bytes.Buffer).String() }

func mustRun(t testing.TB, c *exec.Cmd) {
	t.Helper()
	if err := c.Run(); err != nil {
		t.Fatalf("img %s: %v\n%s", strings.Join(c.Args[1:], " "), err, said(c))
	}
}

// serve runs our registry in this process, and returns its host:port.
func serve(t testing.TB, root string) string {
	t.Helper()
	s, err := store.Open(root, store.Limits{})
	bazeltest.Must(t, err)
	server := httptest.NewServer(registry.New(registry.Options{Store: s}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// registryOn is a command of our registry, with its directory.
func registryOn(folder string, flags ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(programs, "registry"), append([]string{"--dir", folder, "--port", "0"}, flags...)...)
	c.Stderr = new(bytes.Buffer)
	return c
}

// besOn is a command of our build event service: builds wait for their pushes, and plans are files of a folder.
func besOn(state, files string, flags ...string) *exec.Cmd {
	args := append([]string{"--state", state, "--allow-files", files, "--commit-mode", "per-stream", "--port", "0"}, flags...)
	c := exec.Command(filepath.Join(programs, "bes"), args...)
	c.Env = []string{"HOME=" + programs}
	c.Stderr = new(bytes.Buffer)
	return c
}

// startServer starts a registry or a build event service, and returns its host:port, its log, which is complete when it was stopped, and what
// kills it.
func startServer(t *testing.T, c *exec.Cmd) (host string, log *bytes.Buffer, stop func()) {
	t.Helper()
	hosts, log, stop := startServers(t, c, 1)
	return hosts[0], log, stop
}

// startServers starts one that prints so many addresses.
func startServers(t *testing.T, c *exec.Cmd, n int) (hosts []string, log *bytes.Buffer, stop func()) {
	t.Helper()
	out, err := c.StdoutPipe()
	bazeltest.Must(t, err)
	bazeltest.Must(t, c.Start())
	stop = sync.OnceFunc(func() { c.Process.Kill(); c.Wait() })
	t.Cleanup(stop)
	for lines := bufio.NewReader(out); len(hosts) < n; {
		line, err := lines.ReadString('\n')
		if err != nil {
			stop()
			t.Fatalf("%s printed no address: %v\n%s", c.Args, err, said(c))
		}
		words := strings.Fields(line)
		hosts = append(hosts, words[len(words)-1])
	}
	return hosts, c.Stderr.(*bytes.Buffer), stop
}

// planned puts an image of random layers into work, and the plan that pushes it to app:latest.
func planned(t testing.TB, work, registry string, sizes ...int) (push func() *exec.Cmd, root oci.Descriptor) {
	t.Helper()
	var layers [][]byte
	for i, size := range sizes {
		layers = append(layers, blobtest.Bytes(fmt.Sprint(work, i), size))
	}
	root = blobtest.Image(t, dir.Store{Root: work, Volatile: true}, linux, layers...)
	plan := deploy.Plan{Version: deploy.Version, Name: "//:app", Operations: []deploy.Operation{{
		Kind: deploy.KindPush, Name: "//:app", Root: root, Registry: registry, Repository: "app", Tags: []string{"latest"}, Strategy: "eager",
	}}}
	plan.Blobs = blobFiles(t, work)
	b, err := plan.Encode()
	bazeltest.Must(t, err)
	bazeltest.Must(t, os.WriteFile(filepath.Join(work, "plan.json"), b, 0o644))
	return func() *exec.Cmd {
		c := img("deploy", filepath.Join(work, "plan.json"), "--quiet")
		c.Env = append(c.Env, "RUNFILES_DIR="+work)
		return c
	}, root
}

// blobFiles are the blobs of a layout as a plan has them, whose runfiles are the layout.
func blobFiles(t testing.TB, work string) (all []deploy.Blob) {
	t.Helper()
	for _, f := range blobs(t, work) {
		info, err := os.Stat(f)
		bazeltest.Must(t, err)
		all = append(all, deploy.Blob{Descriptor: oci.Descriptor{Digest: digestOf(f), Size: info.Size()}, File: "blobs/sha256/" + filepath.Base(f)})
	}
	return all
}

func digestOf(path string) oci.Digest { return oci.Digest("sha256:" + filepath.Base(path)) }

// blobs are the files that count as blobs of a layout.
func blobs(t testing.TB, root string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "blobs", "sha256", "[0-9a-f]*"))
	bazeltest.Must(t, err)
	return files
}

// wantWholeBlobs hashes every blob that is there.
func wantWholeBlobs(t testing.TB, root string) {
	t.Helper()
	for _, path := range blobs(t, root) {
		if got := hashOf(t, path); got != digestOf(path) {
			t.Errorf("%s has the digest %s", path, got)
		}
	}
}

func hashOf(t testing.TB, path string) oci.Digest {
	t.Helper()
	f, err := os.Open(path)
	bazeltest.Must(t, err)
	defer f.Close()
	d, err := oci.ReadDigest(f)
	bazeltest.Must(t, err)
	return d
}

// requestFile writes a request, and returns its argument.
func requestFile(t testing.TB, dir string, lines ...string) string {
	t.Helper()
	path := filepath.Join(dir, "request")
	bazeltest.Must(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644))
	return "@" + path
}

func record(kind, path string) string { return fmt.Sprintf(`{"type":%q,"from":%q}`, kind, path) }

const layerHeader = `{"kind":"layer","version":1,"name":"//:layer","compress":"gzip","level":"1","jobs":"2","estargz":false,"create_parents":true,"tree_artifacts":"full"}`

// pullWhole reads an image from a registry to its last byte.
func pullWhole(ctx context.Context, host, repository, reference string) (root oci.Descriptor, err error) {
	transport := remote.NewTransport(4)
	defer transport.CloseIdleConnections()
	from, err := remote.New(remote.Options{Transport: transport}).Repository(oci.Reference{Registry: host, Repository: repository})
	if err != nil {
		return root, err
	}
	if root, err = from.Resolve(ctx, reference); err == nil {
		_, err = blob.Copy(ctx, &mem.Store{}, blob.Verify(host, from), blob.CopyOptions{}, root)
	}
	return root, err
}

// layoutRequest puts an image into a folder, and returns the request that writes it as a layout, and where to.
func layoutRequest(t testing.TB, folder, format, out string) (argument string) {
	t.Helper()
	root := blobtest.Image(t, dir.Store{Root: folder, Volatile: true}, linux, blobtest.Bytes(format, 2_000_000), blobtest.Bytes(format+"2", 500_000))
	file := func(d oci.Digest) string { return filepath.Join(folder, "blobs", "sha256", d.Encoded()) }
	body, err := os.ReadFile(file(root.Digest))
	bazeltest.Must(t, err)
	var m oci.Manifest
	bazeltest.Must(t, json.Unmarshal(body, &m))
	lines := []string{
		fmt.Sprintf(`{"kind":"layout","version":1,"name":"//:image","format":%q}`, format),
		record("root", file(root.Digest)), record("blob", file(root.Digest)), record("blob", file(m.Config.Digest)), record("out", out),
	}
	for i, l := range m.Layers {
		b, err := json.Marshal(manifest.Layer{Name: "//:layer", MediaType: l.MediaType, Digest: l.Digest, Size: l.Size, DiffID: l.Digest})
		bazeltest.Must(t, err)
		metadata := filepath.Join(folder, fmt.Sprint("metadata", i))
		bazeltest.Must(t, os.WriteFile(metadata, b, 0o644))
		lines = append(lines, fmt.Sprintf(`{"type":"layer","from":%q,"blob":%q}`, metadata, file(l.Digest)))
	}
	return requestFile(t, folder, lines...)
}
