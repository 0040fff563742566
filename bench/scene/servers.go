package scene

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
)

type serversKey struct{}

// WithServers returns a context for servers, and what ends it and waits until they have ended: a program that does not wait leaves them behind.
func WithServers(ctx context.Context) (context.Context, func()) {
	running := new(sync.WaitGroup)
	ctx, cancel := context.WithCancel(context.WithValue(ctx, serversKey{}, running))
	return ctx, func() { cancel(); running.Wait() }
}

// afterwards calls end when ctx ends.
func afterwards(ctx context.Context, end func()) {
	running, ok := ctx.Value(serversKey{}).(*sync.WaitGroup)
	if !ok {
		running = new(sync.WaitGroup)
	}
	running.Add(1)
	context.AfterFunc(ctx, func() { defer running.Done(); end() })
}

// StartCache runs an empty bazel-remote until ctx ends, and returns its endpoint.
func StartCache(ctx context.Context) (string, error) {
	program, err := remotetest.Tool(ctx, "bazel-remote")
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "bench-cache-")
	if err != nil {
		return "", err
	}
	address, err := FreeAddress()
	if err != nil {
		return "", err
	}
	return "grpc://" + address, Serve(ctx, func() { os.RemoveAll(dir) }, address, program,
		"--dir", dir, "--max_size", "10", "--grpc_address", address, "--http_address", "127.0.0.1:0")
}

// Serve runs a server until ctx ends, and then calls after. It returns when something listens on the address.
func Serve(ctx context.Context, after func(), address, program string, args ...string) error {
	server := exec.Command(program, args...)
	if err := server.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { server.Wait(); close(ended) }()
	afterwards(ctx, func() { server.Process.Kill(); <-ended; after() })
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			return c.Close()
		}
	}
	return fmt.Errorf("%s: nothing listens on %s", program, address)
}

// ServeAnywhere runs a server that prints its host:port as the first line, until ctx ends.
func ServeAnywhere(ctx context.Context, program string, args ...string) (string, error) {
	server, err := Start(ctx, os.Stderr, 1, program, args...)
	if err != nil {
		return "", err
	}
	return server.Addresses[0], nil
}

// Server is a server that runs.
type Server struct {
	PID       int
	Addresses []string // the lines that it has printed, without the words before
}

// Start runs a server that prints so many addresses, one a line, until ctx ends. What else it says goes to log.
func Start(ctx context.Context, log io.Writer, addresses int, program string, args ...string) (*Server, error) {
	server := exec.Command(program, args...)
	server.Stderr = log
	out, err := server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	afterwards(ctx, func() { server.Process.Kill(); <-ended })
	started, lines := &Server{PID: server.Process.Pid}, bufio.NewReader(out)
	for range addresses {
		var line string
		if line, err = lines.ReadString('\n'); err != nil {
			err = fmt.Errorf("%s printed no address: %w", program, err)
			break
		}
		words := strings.Fields(line)
		started.Addresses = append(started.Addresses, words[len(words)-1])
	}
	go func() { io.Copy(io.Discard, lines); server.Wait(); close(ended) }()
	return started, err
}

// FreeAddress is a host:port on loopback that nothing listens on.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Port is the port of a host:port.
func Port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}
