//go:build linux

package layers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// TestLazyLayersAreMountedLazily mounts layers with the real stargz-snapshotter, from a registry, and reads one file: the bytes that move are those of
// the index and of that file's chunk, and not the layer's.
func TestLazyLayersAreMountedLazily(t *testing.T) {
	needFUSE(t)
	w := newWorkspace(t)
	big := make([]byte, 40<<20)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(big)
	w.WriteFile("source/big", string(big))
	registry, served := countingRegistry(t)
	snapshotter := startSnapshotter(t, registry)
	for _, layer := range []string{"lazy_estargz", "lazy_zstd_chunked"} {
		t.Run(layer, func(t *testing.T) {
			m := pushLayer(t, w, registry, layer)
			served.Store(0)
			mounted := snapshotter.mount(t, registry, layer, m)
			checkContent(t, filepath.Join(mounted, "app", "hello"), "hello\n")
			if n := served.Load(); n > 2<<20 || n == 0 {
				t.Errorf("%d bytes of a layer of %d were read for a file of 6", n, m.Size)
			}
			t.Logf("%d of %d bytes were read for the first file", served.Load(), m.Size)
			checkContent(t, filepath.Join(mounted, "app", "big"), string(big))
			if n := served.Load(); n < int64(len(big)) {
				t.Errorf("%d bytes were read for a file of %d", n, len(big))
			}
		})
	}
}

func checkContent(t *testing.T, path, want string) {
	t.Helper()
	b, err := os.ReadFile(path)
	bazeltest.Must(t, err)
	if string(b) != want {
		t.Errorf("%s has other bytes", path)
	}
}

// needFUSE skips the test where nothing can be mounted.
func needFUSE(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err == nil {
		f.Close()
	}
	if err != nil || os.Getuid() != 0 {
		reason := fmt.Sprintf("the stargz-snapshotter needs root and FUSE: %v", err)
		if os.Getenv("IMG_TEST_DAEMONS") == "required" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
}

// pushLayer builds a layer, puts the blob into the registry and returns what its metadata says.
func pushLayer(t *testing.T, w *bazeltest.Workspace, registry, layer string) (m layerMetadata) {
	t.Helper()
	path := w.Build("//:" + layer)[0]
	w.Bazel("build", "//:"+layer, "--output_groups=metadata")
	b, err := os.ReadFile(filepath.Join(filepath.Dir(path), layer+".metadata.json"))
	bazeltest.Must(t, err)
	bazeltest.Must(t, json.Unmarshal(b, &m))
	blob, err := os.ReadFile(path)
	bazeltest.Must(t, err)
	repository, err := name.NewRepository(registry + "/" + layer)
	bazeltest.Must(t, err)
	bazeltest.Must(t, remote.WriteLayer(repository, static.NewLayer(blob, types.MediaType(m.MediaType))))
	return m
}

// countingRegistry is the project's registry behind a proxy that counts the bytes of blobs.
func countingRegistry(t *testing.T) (string, *atomic.Int64) {
	t.Helper()
	target, err := url.Parse("http://" + bazeltest.StartRegistry(t))
	bazeltest.Must(t, err)
	served := new(atomic.Int64)
	proxy := httputil.NewSingleHostReverseProxy(target)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	bazeltest.Must(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy.ServeHTTP(&countingWriter{w, served}, r)
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l.Addr().String(), served
}

type countingWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (w *countingWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.n.Add(int64(n))
	return n, err
}

// snapshotter is a stargz-snapshotter that runs.
type snapshotter struct {
	dir    string
	client snapshots.SnapshotsClient
}

func startSnapshotter(t *testing.T, registry string) snapshotter {
	t.Helper()
	get := exec.Command(filepath.Join(bazeltest.Root(t), "tools", "get-tool"), "stargz-grpc")
	get.Stderr = os.Stderr
	program, err := get.Output()
	bazeltest.Must(t, err)
	dir := bazeltest.ShortDir(t)
	config := fmt.Sprintf("no_background_fetch = true\n[[resolver.host.%q.mirrors]]\nhost = %q\ninsecure = true\n", registry, registry)
	bazeltest.Must(t, os.WriteFile(filepath.Join(dir, "config.toml"), []byte(config), 0o644))
	log, err := os.Create(filepath.Join(dir, "log"))
	bazeltest.Must(t, err)
	defer log.Close()
	socket := filepath.Join(dir, "socket")
	cmd := exec.Command(strings.TrimSpace(string(program)), "--address", socket, "--root", filepath.Join(dir, "root"), "--config", filepath.Join(dir, "config.toml"))
	cmd.Stdout, cmd.Stderr = log, log
	bazeltest.Must(t, cmd.Start())
	t.Cleanup(func() {
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("the snapshotter says:\n%s", b)
		}
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	waitFor(t, socket)
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	bazeltest.Must(t, err)
	t.Cleanup(func() { conn.Close() })
	return snapshotter{dir, snapshots.NewSnapshotsClient(conn)}
}

func waitFor(t *testing.T, socket string) {
	t.Helper()
	for range 300 {
		if conn, err := net.Dial("unix", socket); err == nil {
			conn.Close()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("nobody listens at %s", socket)
}

// mount asks for a layer as containerd does when it pulls an image, and returns where it is. A snapshot that is said to exist already is mounted; one that is
// not lazy would have to be unpacked.
func (s snapshotter) mount(t *testing.T, registry, layer string, m layerMetadata) string {
	t.Helper()
	labels := map[string]string{
		"containerd.io/snapshot.ref":                     string(m.DiffID),
		"containerd.io/snapshot/remote/stargz.reference": registry + "/" + layer + ":latest",
		"containerd.io/snapshot/remote/stargz.digest":    string(m.Digest),
		"containerd.io/snapshot/remote/stargz.layers":    string(m.Digest),
	}
	for k, v := range m.Annotations {
		labels[k] = v
	}
	ctx := context.Background()
	_, err := s.client.Prepare(ctx, &snapshots.PrepareSnapshotRequest{Snapshotter: "stargz", Key: "prepare-" + layer, Labels: labels})
	if status.Code(err) != codes.AlreadyExists {
		t.Fatalf("the layer is not mounted lazily: %v", err)
	}
	view, err := s.client.View(ctx, &snapshots.ViewSnapshotRequest{Snapshotter: "stargz", Key: "view-" + layer, Parent: string(m.DiffID)})
	bazeltest.Must(t, err)
	for _, mount := range view.Mounts {
		for _, option := range mount.Options {
			if lower, ok := strings.CutPrefix(option, "lowerdir="); ok {
				return lower
			}
		}
		if mount.Type == "bind" {
			return mount.Source
		}
	}
	t.Fatalf("there is no place in %v", view.Mounts)
	return ""
}
