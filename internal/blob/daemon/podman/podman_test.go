package podman_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon/podman"
)

func TestDialFindsPodman(t *testing.T) {
	runtime, err := os.MkdirTemp("", "podman-") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(runtime) })
	t.Setenv("PATH", "/nonexistent")
	getenv := func(env map[string]string) func(string) string { return func(key string) string { return env[key] } }
	if _, err := os.Stat("/run/podman/podman.sock"); err != nil {
		if _, err := podman.Dial(getenv(nil)); err == nil || !strings.Contains(err.Error(), "install Podman") {
			t.Errorf("where there is none: %v; want it to say what to do", err)
		}
	}
	load := func(env map[string]string) error {
		c, err := podman.Dial(getenv(env))
		if err != nil {
			return err
		}
		_, err = c.Load(t.Context(), daemon.Image{})
		return err
	}
	err = load(map[string]string{"CONTAINER_HOST": "unix:///nonexistent/podman.sock"})
	if err == nil || !strings.Contains(err.Error(), "/nonexistent/podman.sock") {
		t.Errorf("a socket that is not there: %v; want it named", err)
	}
	path := filepath.Join(runtime, "podman", "podman.sock")
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	called := make(chan struct{}, 1)
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			called <- struct{}{}
			conn.Close()
		}
	}()
	defer l.Close()
	if err := load(map[string]string{"XDG_RUNTIME_DIR": runtime}); err == nil {
		t.Error("loaded into what closes connections")
	}
	select {
	case <-called:
	default:
		t.Error("the user's socket was not tried")
	}
}
