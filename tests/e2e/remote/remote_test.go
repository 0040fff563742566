// Package remote_test runs every action of rules_img on another machine: a small server of the Remote Execution API, tools/rexd, which
// gives an action its declared inputs and keeps its declared outputs, nothing else.
package remote_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

const large = 8 << 20

// server is a rexd that runs for the length of a test.
type server struct {
	address string

	mu  sync.Mutex
	ran []string // exit status, mnemonic, target
}

func startServer(t *testing.T) *server {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "rexd")
	build := exec.Command("go", "build", "-o", binary, "./tools/rexd")
	build.Dir = bazeltest.Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, "--dir", t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	bazeltest.Must(t, err)
	bazeltest.Must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("rexd printed no address")
	}
	s := &server{address: lines.Text()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines.Scan() {
			s.mu.Lock()
			s.ran = append(s.ran, lines.Text())
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() { cmd.Process.Kill(); <-done; cmd.Wait() })
	return s
}

// mnemonics are the different actions of ours that ran, and succeeded, since the last call.
func (s *server) mnemonics() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, line := range s.ran {
		if f := strings.Fields(line); f[0] == "0" && strings.HasPrefix(f[1], "Img") {
			all = append(all, f[1])
		}
	}
	s.ran = nil
	slices.Sort(all)
	return slices.Compact(all)
}

// ours are all actions of rules_img but ImgBlob, which is only for bases whose layers are pulled when something asks for them.
var ours = []string{"ImgFromOciLayout", "ImgIndex", "ImgLayer", "ImgLayerFromTar", "ImgLayout", "ImgManifest", "ImgPlan"}

func TestEveryActionRunsElsewhere(t *testing.T) {
	var here map[string]string
	for way, flags := range map[string][]string{
		"plainly":           nil,
		"with mapped paths": {"--experimental_output_paths=strip"},
		"with BLAKE3":       {"--@rules_img//img/settings:digest_function=blake3"},
	} {
		t.Run(way, func(t *testing.T) {
			registry := bazeltest.StartRegistry(t)
			w := newWorkspace(t, registry)
			if here == nil {
				here = digests(t, w)
			}
			s := startServer(t)
			proxy, ofTool := bazeltest.StartProxy(t, s.address), bazeltest.StartProxy(t, s.address)
			away := *w
			away.Flags = append([]string{
				"--remote_executor=grpc://" + proxy.Address, "--spawn_strategy=remote", "--genrule_strategy=remote",
				"--remote_download_minimal", "--@rules_img//img/settings:remote_cache=grpc://" + ofTool.Address,
			}, flags...)
			if way == "with BLAKE3" {
				away.Startup = []string{"--digest_function=blake3"}
			}
			away.Bazel("clean")
			away.Bazel("build", "//...")
			if d := cmp.Diff(ours, s.mnemonics()); d != "" {
				t.Errorf("actions that ran elsewhere (-want +got):\n%s", d)
			}
			if n := proxy.Down(); n > large/8 {
				t.Errorf("the build brought %d bytes here", n)
			}
			away.Bazel("run", "//:deploy")
			if n := proxy.Down(); n > large/8 {
				t.Errorf("the push brought %d bytes here by Bazel", n)
			}
			if n := ofTool.Down(); n < large || n > 3*large {
				t.Errorf("the push read %d bytes", n)
			}
			if n := w.FilesAbove(large); len(n) > 0 {
				t.Errorf("there are layers here: %s", n)
			}
			for _, repository := range []string{"app", "converted"} {
				wantImage(t, registry+"/remote/"+repository+":v1")
			}
			away.Flags = append(away.Flags, "--remote_download_toplevel")
			if d := cmp.Diff(here, digests(t, &away)); d != "" {
				t.Errorf("digests (-here +elsewhere):\n%s", d)
			}
		})
	}
}

func newWorkspace(t *testing.T, registry string) *bazeltest.Workspace {
	t.Helper()
	w := bazeltest.NewWorkspace(t, "workspace", "remote", "REGISTRY", registry)
	w.WriteFile("random.bin", string(blobtest.Bytes("remote", large)))
	w.WriteFile("archive.tar", archive(t, "from-archive"))
	w.WriteFile("archive.tar.gz", zipped(t, archive(t, "from-compressed-archive")))
	w.Bazel("clean")
	return w
}

// digests are those of all images, by the name of their file.
func digests(t *testing.T, w *bazeltest.Workspace) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, path := range w.Build("//:digests") {
		b, err := os.ReadFile(path)
		bazeltest.Must(t, err)
		all[filepath.Base(path)] = string(b)
	}
	return all
}

func archive(t *testing.T, file string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	bazeltest.Must(t, w.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: 4}))
	_, err := w.Write([]byte("text"))
	bazeltest.Must(t, err)
	bazeltest.Must(t, w.Close())
	return b.String()
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	bazeltest.Must(t, err)
	bazeltest.Must(t, w.Close())
	return b.String()
}

func wantImage(t *testing.T, reference string) {
	t.Helper()
	ref, err := name.ParseReference(reference)
	bazeltest.Must(t, err)
	image, err := remote.Image(ref)
	bazeltest.Must(t, err)
	bazeltest.Must(t, validate.Image(image))
}
