// Package scene is what benchmarks share that measure whole programs: [Run] runs one and says what it used, [Bazel] does so for a build,
// [Tap] counts the bytes between a client and a server.
//
// The law: what is counted is counted from outside, never by the program that is measured.
package scene

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Usage is what programs used.
type Usage struct {
	Wall, CPU time.Duration
	Memory    int64 // bytes at the peak, of the largest process
}

// Program is a program to be run and measured.
type Program struct {
	Path string
	Dir  string   // where it runs; empty is here
	Env  []string // beside this program's own
}

// Run runs the program and returns its stdout.
func (p Program) Run(ctx context.Context, args ...string) (Usage, string, error) {
	c := exec.CommandContext(ctx, p.Path, args...)
	c.Dir = p.Dir
	c.Env = append(os.Environ(), p.Env...)
	c.WaitDelay = time.Second // a server that it started may keep its pipes open
	var out, said bytes.Buffer
	c.Stdout, c.Stderr = &out, &said
	start := time.Now()
	if err := c.Start(); err != nil {
		return Usage{}, "", err
	}
	ended, peak := make(chan struct{}), make(chan int64)
	go func() { peak <- watchMemory(c.Process.Pid, ended) }()
	err := c.Wait()
	close(ended)
	u := Usage{Wall: time.Since(start), Memory: <-peak}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return u, out.String(), fmt.Errorf("%s %s: %w\n%s", filepath.Base(p.Path), strings.Join(args, " "), err, said.String())
	}
	u.CPU = c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	return u, out.String(), nil
}

// BuildPrograms builds programs of this repository into a new directory.
func BuildPrograms(ctx context.Context, packages ...string) (string, error) {
	dir, err := os.MkdirTemp("", "bench-programs-")
	if err != nil {
		return "", err
	}
	_, _, err = Program{Path: "go"}.Run(ctx, append([]string{"build", "-o", dir + "/"}, packages...)...)
	return dir, err
}

// watchMemory returns the most memory that a process was seen to have had. What the system reports at its end counts what this
// program had when it started it.
func watchMemory(pid int, ended <-chan struct{}) (peak int64) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return peak
		case <-tick.C:
			peak = max(peak, HighWater(pid))
		}
	}
}

// HighWater is the most memory that a process has had: VmHWM, which only Linux has.
func HighWater(pid int) (bytes int64) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok {
		fmt.Sscan(rest, &bytes)
	}
	return bytes << 10
}
