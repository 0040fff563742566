package guides_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// stands are pairs: a host, port or folder of the guides, and what stands for it here. What must be taken first comes first.
func stands(t *testing.T, bin string) []string {
	t.Helper()
	registry := bazeltest.StartRegistry(t)
	digest := pushBase(t, registry, "library/debian:bookworm-slim", "library/ubuntu:24.04")
	images, blobs, bes := freePort(t), freePort(t), freePort(t)
	state, mirror := t.TempDir(), t.TempDir()
	integrity := buildTool(t, filepath.Join(mirror, "img_linux_amd64"))
	return []string{
		"~/bin", bin,
		"registry.example.com", registry,
		"index.docker.io", registry,
		"https://docker.io", "http://" + registry,
		`digest = "sha256:…"`, `digest = "` + digest + `"`,
		"grpcs://cache.example.com", bazeltest.StartCache(t).GRPC,
		// The registry of its own guide.
		"--dir /var/lib/registry", "--dir " + t.TempDir() + " --port " + images,
		"127.0.0.1:8080", "127.0.0.1:" + images,
		"grpcs://images.example.com:8081", "grpc://127.0.0.1:" + blobs,
		"--grpc-port 8081", "--grpc-port " + blobs,
		"images.example.com", "127.0.0.1:" + images,
		// The build event service.
		"bes --state /var/lib/bes", "bes --port " + bes + " --state " + state,
		"/var/lib/bes", state,
		"127.0.0.1:8985", "127.0.0.1:" + bes,
		"grpcs://bes.example.com:8985", "grpc://127.0.0.1:" + bes,
		// Where prebuilt binaries are, and where they are not.
		"https://mirror.example.com", "http://" + registry,
		"/opt/mirror", mirror,
		"sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", integrity,
	}
}

// buildTool builds img and returns its integrity, as a lockfile has it.
func buildTool(t *testing.T, path string) string {
	t.Helper()
	build := exec.Command("go", "build", "-o", path, "./cmd/img")
	build.Dir = bazeltest.Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	b, err := os.ReadFile(path)
	bazeltest.Must(t, err)
	sum := sha256.Sum256(b)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	bazeltest.Must(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	bazeltest.Must(t, err)
	return port
}
