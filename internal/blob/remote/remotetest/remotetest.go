// Package remotetest runs real registries on this machine for tests and benchmarks, and a [Proxy] before them that counts,
// delays and misbehaves.
//
// The entry points are [Distribution], [Olareg] and [InMemory], which run one for the length of a test, and [Start].
// Everything listens on loopback only. The programs are built by tools/get-tool.
package remotetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Kind is a registry that can be run.
type Kind string

// The kinds: the CNCF's distribution, which most registries descend from, and olareg, which follows the specification most
// closely.
const (
	KindDistribution Kind = "registry"
	KindOlareg       Kind = "olareg"
)

// Distribution runs a distribution registry and returns its host:port.
func Distribution(t testing.TB) string { return run(t, KindDistribution) }

// Olareg runs an olareg and returns its host:port.
func Olareg(t testing.TB) string { return run(t, KindOlareg) }

// InMemory runs go-containerregistry's registry and returns its host:port.
func InMemory(t testing.TB) string {
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func run(t testing.TB, kind Kind) string {
	t.Helper()
	address, stop, err := Start(t.Context(), kind, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return address
}

// Start runs a registry with its data below dir, and returns its host:port and what stops it.
func Start(ctx context.Context, kind Kind, dir string) (address string, stop func(), err error) {
	program, err := Tool(ctx, string(kind))
	if err != nil {
		return "", nil, err
	}
	if address, err = freeAddress(); err != nil {
		return "", nil, err
	}
	args, err := arguments(kind, dir, address)
	if err != nil {
		return "", nil, err
	}
	var said bytes.Buffer
	server := exec.Command(program, args...)
	server.Stdout, server.Stderr = &said, &said
	if err := server.Start(); err != nil {
		return "", nil, err
	}
	ended := make(chan struct{})
	go func() { server.Wait(); close(ended) }()
	stop = func() { server.Process.Kill(); <-ended }
	if err := waitFor(ctx, address, ended); err != nil {
		stop()
		return "", nil, fmt.Errorf("%s: %w\n%s", kind, err, said.String())
	}
	return address, stop, nil
}

func arguments(kind Kind, dir, address string) ([]string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if kind == KindOlareg {
		return []string{"serve", "--addr", host, "--port", port, "--store-type", "dir", "--dir", dir, "--gc-frequency", "-1s"}, nil
	}
	config := filepath.Join(dir, "config.yml")
	return []string{"serve", config}, os.WriteFile(config, fmt.Appendf(nil, `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}, maintenance: {uploadpurging: {enabled: false}}}
http: {addr: %q}
`, filepath.Join(dir, "data"), address), 0o644)
}

// Tool returns the path of a program of tools/pinned, which is built if need be.
func Tool(ctx context.Context, name string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	get := exec.CommandContext(ctx, filepath.Join(root, "tools", "get-tool"), name)
	var said bytes.Buffer
	get.Stderr = &said
	out, err := get.Output()
	if err != nil {
		return "", fmt.Errorf("tools/get-tool %s: %w\n%s", name, err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the working directory is not inside the module")
		}
		dir = parent
	}
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// waitFor waits until the registry answers.
func waitFor(ctx context.Context, address string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		resp, err := http.Get("http://" + address + "/v2/")
		if err == nil {
			return resp.Body.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("does not answer: %w", err)
		case <-ended:
			return errors.New("ended at once")
		case <-time.After(20 * time.Millisecond):
		}
	}
}
