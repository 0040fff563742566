package cas_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
	"github.com/bazel-contrib/rules_img/tests/memory"
)

// TestAPushStreamsWhateverTheSizeOfItsLayers pushes more from a cache than the process may have memory.
func TestAPushStreamsWhateverTheSizeOfItsLayers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the memory of a process is read from /proc")
	}
	const layers, size, limit = 4, 48 << 20, 80 << 20
	cache, registry := bazeltest.StartCache(t), bazeltest.StartRegistry(t)
	var bodies [][]byte
	for i := range layers {
		bodies = append(bodies, blobtest.Bytes(fmt.Sprint("layer ", i), size))
	}
	fill(t, cache, bodies...)
	peak, said, err := push(t, lazyPlan(t, registry, bodies), "IMG_REAPI_ENDPOINT="+cache.GRPC)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	t.Logf("%d MiB: %s", peak>>20, said)
	if peak > limit {
		t.Errorf("%d layers of %d MiB took %d MiB of memory: want at most %d", layers, size>>20, peak>>20, limit>>20)
	}
	if !strings.Contains(said, "from remote cache") {
		t.Errorf("the push says: %s", said)
	}
}

func TestAPushSaysThatTheCacheIsAway(t *testing.T) {
	plan := lazyPlan(t, bazeltest.StartRegistry(t), [][]byte{blobtest.Bytes("away", 200_000)})
	_, said, err := push(t, plan, "IMG_REAPI_ENDPOINT=grpc://127.0.0.1:1")
	if err == nil || !strings.Contains(said, "hint: is the remote cache there?") || strings.Contains(said, "may have dropped") {
		t.Errorf("%v\n%s", err, said)
	}
}

// lazyPlan writes the plan of an image, and its manifest and config as files, as a build would.
func lazyPlan(t *testing.T, registry string, layers [][]byte) (path string) {
	t.Helper()
	dir := t.TempDir()
	var all mem.Store
	root := blobtest.Image(t, &all, oci.Platform{OS: "linux", Architecture: "amd64"}, layers...)
	plan := deploy.Plan{Version: deploy.Version, Name: "//:push", Operations: []deploy.Operation{{
		Kind: deploy.KindPush, Name: "//:push", Root: root, Registry: registry, Repository: "a/b", Strategy: "lazy",
	}}}
	var m oci.Manifest
	bazeltest.Must(t, json.Unmarshal(body(t, &all, root), &m))
	for _, d := range []oci.Descriptor{root, m.Config} {
		bazeltest.Must(t, os.WriteFile(filepath.Join(dir, d.Digest.Encoded()), body(t, &all, d), 0o644))
		plan.Blobs = append(plan.Blobs, deploy.Blob{Descriptor: d, File: d.Digest.Encoded()})
	}
	for _, d := range m.Layers {
		plan.Blobs = append(plan.Blobs, deploy.Blob{Descriptor: d, Output: "bazel-out/" + d.Digest.Encoded()})
	}
	text, err := plan.Encode()
	bazeltest.Must(t, err)
	path = filepath.Join(dir, "plan.json")
	bazeltest.Must(t, os.WriteFile(path, text, 0o644))
	return path
}

func body(t *testing.T, s blob.Source, d oci.Descriptor) []byte {
	t.Helper()
	r, err := s.Open(t.Context(), d)
	bazeltest.Must(t, err)
	defer r.Close()
	b := make([]byte, d.Size)
	_, err = r.Read(b)
	bazeltest.Must(t, err)
	return b
}

// push carries out a plan and returns the most memory it had, what it said, and whether it failed.
func push(t *testing.T, plan string, env ...string) (peak int64, said string, err error) {
	t.Helper()
	img := filepath.Join(t.TempDir(), "img")
	build := exec.Command("go", "build", "-o", img, "./cmd/img")
	build.Dir = bazeltest.Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.Command(img, "deploy", plan)
	cmd.Env = append(os.Environ(), append(env, "RUNFILES_DIR="+filepath.Dir(plan))...)
	var talk strings.Builder
	cmd.Stderr = &talk
	peak, err = memory.Peak(cmd)
	return peak, talk.String(), err
}
