package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// server is a running registry.
type server struct {
	address string // host:port
	process *exec.Cmd
}

// startRegistry builds this project's registry and starts it on a free port, with nothing in it.
func (d *demo) startRegistry(ctx context.Context) (*server, error) {
	binary := filepath.Join(d.scratch, "registry")
	if _, err := output(ctx, d.root, "go", "build", "-buildvcs=false", "-o", binary, "./cmd/registry"); err != nil {
		return nil, err
	}
	// It outlives ctx, so that what is under way when the demo is interrupted ends in order.
	cmd := exec.Command(binary, "--port", "0", "--dir", filepath.Join(d.scratch, "blobs"))
	return startServer(cmd)
}

// startServer starts a registry, whose first line of stdout is its address.
func startServer(cmd *exec.Cmd) (*server, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{process: cmd}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("%s: printed no address: %w\n%s", strings.Join(cmd.Args, " "), err, log.String())
	}
	s.address = strings.TrimSpace(line)
	return s, nil
}

// stop asks the registry to stop and does not take no for an answer.
func (s *server) stop() {
	s.process.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(10*time.Second, func() { s.process.Process.Kill() })
	defer late.Stop()
	s.process.Wait()
}
