package bazeltest

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// RegistryServer is the project's registry, which runs for the length of a test.
type RegistryServer struct {
	Host      string // host:port
	BlobCache string // host:port of the service for pushes, if the flags turn it on
	Dir       string

	t      testing.TB
	binary string
	flags  []string
	server *exec.Cmd
	log    *buffer
}

// StartRegistry builds the project's registry, runs it for the length of the test and returns its host and port.
func StartRegistry(t testing.TB, flags ...string) string {
	t.Helper()
	return RunRegistry(t, flags...).Host
}

// RunRegistry is StartRegistry for a test that wants more of it than an address.
func RunRegistry(t testing.TB, flags ...string) *RegistryServer {
	t.Helper()
	r := &RegistryServer{t: t, Dir: t.TempDir(), binary: filepath.Join(t.TempDir(), "registry"), flags: flags, log: new(buffer)}
	build := exec.Command("go", "build", "-o", r.binary, "./cmd/registry")
	build.Dir = Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	r.start("--port", "0", "--grpc-port", "0")
	t.Cleanup(r.kill)
	return r
}

func (r *RegistryServer) start(ports ...string) {
	r.t.Helper()
	r.server = exec.Command(r.binary, append(append([]string{"--dir", r.Dir}, ports...), r.flags...)...)
	r.server.Stderr = r.log
	out, err := r.server.StdoutPipe()
	Must(r.t, err)
	Must(r.t, r.server.Start())
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	if err != nil {
		r.server.Wait()
		r.t.Fatalf("the registry printed no address: %v\n%s", err, r.log)
	}
	r.Host = strings.TrimSpace(line)
	for _, flag := range r.flags {
		if flag == "--enable-blobcache" {
			line, err := lines.ReadString('\n')
			Must(r.t, err)
			r.BlobCache = strings.TrimSpace(strings.TrimPrefix(line, "blobcache "))
		}
	}
}

func (r *RegistryServer) kill() {
	r.server.Process.Kill()
	r.server.Wait()
}

// KillAndRestart ends the registry as kill -9 does, and starts it again at the same addresses.
func (r *RegistryServer) KillAndRestart() {
	r.t.Helper()
	r.kill()
	_, port, err := net.SplitHostPort(r.Host)
	Must(r.t, err)
	ports := []string{"--port", port}
	if r.BlobCache != "" {
		_, port, err := net.SplitHostPort(r.BlobCache)
		Must(r.t, err)
		ports = append(ports, "--grpc-port", port)
	}
	r.start(ports...)
}

// Blobs are the contents of the registry's directory, by their digests' hexadecimal part.
func (r *RegistryServer) Blobs() map[string][]byte {
	r.t.Helper()
	files, err := filepath.Glob(filepath.Join(r.Dir, "blobs", "sha256", "[0-9a-f]*"))
	Must(r.t, err)
	all := map[string][]byte{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		Must(r.t, err)
		all[filepath.Base(file)] = b
	}
	return all
}

// Log is what the registry has said on stderr.
func (r *RegistryServer) Log() string { return r.log.String() }

// buffer can be read while a process writes it.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
