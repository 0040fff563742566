package bazeltest

import (
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Cache is a bazel-remote that runs for the length of a test.
type Cache struct {
	GRPC, HTTP string // endpoints
	Dir        string // where it keeps its blobs

	restart func()
}

// StartCache starts bazel-remote with an empty directory and the given flags.
func StartCache(t testing.TB, flags ...string) Cache {
	t.Helper()
	c := Cache{Dir: t.TempDir()}
	grpc, http := freePort(t), freePort(t)
	c.GRPC, c.HTTP = "grpc://"+grpc, "http://"+http
	binary := Tool(t, "bazel-remote")
	start := func() *exec.Cmd {
		server := exec.Command(binary, append([]string{"--dir", c.Dir, "--max_size", "4", "--grpc_address", grpc, "--http_address", http}, flags...)...)
		var log strings.Builder
		server.Stdout, server.Stderr = &log, &log
		Must(t, server.Start())
		waitFor(t, grpc, &log)
		waitFor(t, http, &log)
		return server
	}
	server := start()
	stop := func() { server.Process.Kill(); server.Wait() }
	t.Cleanup(func() { stop() })
	c.restart = func() { stop(); server = start() }
	return c
}

// Evict removes the blob with the hash, as a cache that is full does. bazel-remote keeps its list in memory: it is started again.
func (c Cache) Evict(t testing.TB, hash string) {
	t.Helper()
	found := false
	Must(t, filepath.WalkDir(c.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), hash) {
			found = true
			return os.Remove(path)
		}
		return err
	}))
	if !found {
		t.Fatalf("the cache has no blob %s to evict", hash)
	}
	c.restart()
}

// Has reports whether the cache has the blob with the hash.
func (c Cache) Has(t testing.TB, hash string) bool {
	t.Helper()
	resp, err := http.Head(c.HTTP + "/cas/" + hash)
	Must(t, err)
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Tool is the program that tools/get-tool builds.
func Tool(t testing.TB, name string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(Root(t), "tools", "get-tool"), name)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tools/get-tool %s: %v", name, err)
	}
	return strings.TrimSpace(string(out))
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	Must(t, err)
	defer l.Close()
	return l.Addr().String()
}

func waitFor(t testing.TB, address string, log fmt.Stringer) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return
		}
	}
	t.Fatalf("nothing listens on %s\n%s", address, log)
}
