package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// tool makes an archive of a directory.
type tool struct {
	name string
	// command is a pipeline: programs, each with its arguments, the last of which writes out.
	command func(j job) [][]string
	env     []string
	ours    bool // writes metadata, too
	// reach is what our time over this tool's is to be at most; 0 is nothing.
	reach float64
}

// job is what a tool is to do.
type job struct {
	dir, out, request, format, level string
}

// cost is what it took.
type cost struct {
	wall, cpu time.Duration
	memory    int64 // bytes, of all programs together
}

func (t tool) present() bool {
	for _, c := range t.command(job{}) {
		if c[0] == "sh" {
			c = c[4:]
		}
		if _, err := exec.LookPath(c[0]); err != nil {
			return false
		}
	}
	return true
}

// run runs the pipeline.
func (t tool) run(ctx context.Context, j job) (cost, error) {
	var programs []*exec.Cmd
	var stderr bytes.Buffer
	for _, c := range t.command(j) {
		p := exec.CommandContext(ctx, c[0], c[1:]...)
		p.Env = append(os.Environ(), t.env...)
		p.Stderr = &stderr
		programs = append(programs, p)
	}
	var pipes []io.Closer
	for i := 1; i < len(programs); i++ {
		r, w, err := os.Pipe()
		if err != nil {
			return cost{}, err
		}
		programs[i-1].Stdout, programs[i].Stdin = w, r
		pipes = append(pipes, r, w)
	}
	start := time.Now()
	var err error
	for _, p := range programs {
		err = errors.Join(err, p.Start())
	}
	for _, p := range pipes {
		p.Close()
	}
	memory := watch(programs)
	var c cost
	for _, p := range programs {
		err = errors.Join(err, p.Wait())
	}
	c.wall = time.Since(start)
	c.memory = memory()
	if err != nil {
		return c, fmt.Errorf("%s: %w\n%s", t.name, err, stderr.String())
	}
	for _, p := range programs {
		c.cpu += p.ProcessState.UserTime() + p.ProcessState.SystemTime()
	}
	return c, nil
}

func ours(img string, env ...string) tool {
	return tool{name: "img", ours: true, env: env, command: func(j job) [][]string { return [][]string{{img, "layer", "@" + j.request}} }}
}

// tarWith is GNU tar and a compressor that reads from it.
func tarWith(reach float64, compressor ...string) tool {
	return tool{name: "tar + " + strings.Join(compressor, " "), reach: reach, command: func(j job) [][]string {
		return [][]string{
			{"tar", "--sort=name", "-C", j.dir, "-cf", "-", "."},
			append([]string{"sh", "-c", `exec "$@" > "$0"`, j.out}, compressor...), // the shell becomes the compressor
		}
	}}
}

func bsdtar(option string) tool {
	return tool{name: "bsdtar " + option, command: func(j job) [][]string {
		return [][]string{{"bsdtar", option, "--options", "compression-level=1", "-C", j.dir, "-cf", j.out, "."}}
	}}
}

// another is the img of BENCH_IMG.
func another() (tool, bool) {
	command := os.Getenv("BENCH_IMG")
	if command == "" {
		return tool{}, false
	}
	if !strings.Contains(command, "{") {
		command += " layer @{request}"
	}
	return tool{name: "BENCH_IMG", command: func(j job) [][]string {
		r := strings.NewReplacer("{request}", j.request, "{dir}", j.dir, "{out}", j.out, "{format}", j.format, "{level}", j.level)
		return [][]string{strings.Fields(r.Replace(command))}
	}}, true
}
