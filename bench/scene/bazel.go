package scene

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Bazel is a Bazel with a workspace and an output base of its own.
type Bazel struct {
	Program Program
	Base    string   // the output base
	Flags   []string // of every command that builds
}

// Build is what a build used.
type Build struct {
	Usage       // CPU of the server and all that it started; Memory of the server
	Tool  int64 // peak memory of the largest persistent worker
	// Actions is how many actions ran.
	Actions int
}

// FindBazel returns a Bazel for the workspace.
func FindBazel(ctx context.Context, root, workspace string) (*Bazel, error) {
	_, out, err := Program{Path: filepath.Join(root, "tools", "get-bazel")}.Run(ctx)
	if err != nil {
		return nil, err
	}
	return &Bazel{Program: Program{Path: strings.TrimSpace(out), Dir: workspace}, Base: workspace + ".base"}, nil
}

// Run runs a command, measured, and returns its stdout.
func (b *Bazel) Run(ctx context.Context, command string, args ...string) (Build, string, error) {
	events := filepath.Join(b.Base, "bench-events.json")
	line := []string{"--output_base=" + b.Base, command}
	builds := command == "build" || command == "run"
	if builds {
		line = append(append(line, b.Flags...), "--build_event_json_file="+events, "--noshow_progress", "--ui_event_filters=-info")
	}
	os.Remove(events)
	server := b.server()
	resetHighWater(server)
	before := TreeTime(server)
	used, out, err := b.Program.Run(ctx, append(line, args...)...)
	if err != nil {
		return Build{}, out, err
	}
	if server == 0 { // it was started for this command
		server = b.server()
	}
	build := Build{Usage: used, Tool: largestChild(server)}
	build.CPU += TreeTime(server) - before
	build.Memory = HighWater(server)
	if builds {
		build.Actions, err = actionsRun(events)
	}
	return build, out, err
}

// Stop stops the server and removes the output base.
func (b *Bazel) Stop(ctx context.Context) error {
	if _, _, err := b.Run(ctx, "shutdown"); err != nil {
		return err
	}
	if _, _, err := (Program{Path: "chmod"}).Run(ctx, "-R", "u+w", b.Base); err != nil {
		return err
	}
	return os.RemoveAll(b.Base)
}

// server is the process that builds; 0 if there is none.
func (b *Bazel) server() int {
	text, _ := os.ReadFile(filepath.Join(b.Base, "server", "server.pid.txt"))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil {
		return 0
	}
	return pid
}

// actionsRun reads the metrics at the end of the events of a build.
func actionsRun(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		var event struct {
			BuildMetrics struct {
				ActionSummary struct{ ActionsExecuted string }
			}
		}
		if err := json.Unmarshal(line, &event); err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		if n := event.BuildMetrics.ActionSummary.ActionsExecuted; n != "" {
			return strconv.Atoi(n)
		}
	}
	return 0, nil // none is left out
}

// resetHighWater lets the peak of a process begin anew.
func resetHighWater(pid int) {
	os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// TreeTime is the processor time of a process and of all below it, dead ones too.
func TreeTime(pid int) (all time.Duration) {
	for _, p := range append(below(pid), pid) {
		all += processTime(p)
	}
	return all
}

// processTime is that of a process and of its children that have ended.
func processTime(pid int) time.Duration {
	_, fields, ok := statOf(pid)
	if !ok {
		return 0
	}
	var ticks int64
	for _, f := range fields[11:15] { // utime, stime, cutime, cstime
		n, _ := strconv.ParseInt(f, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100)
}

// statOf returns a process's parent and what follows its name in /proc/PID/stat.
func statOf(pid int) (parent int, fields []string, ok bool) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return 0, nil, false
	}
	fields = strings.Fields(string(text[end+1:]))
	parent, _ = strconv.Atoi(fields[1])
	return parent, fields, true
}

// below are the processes below one.
func below(pid int) (all []int) {
	if pid == 0 {
		return nil
	}
	parents := map[int]int{}
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, e := range entries {
		p, _ := strconv.Atoi(filepath.Base(e))
		parents[p], _, _ = statOf(p)
	}
	for p, parent := range parents {
		for parent > 1 && parent != pid {
			parent = parents[parent]
		}
		if parent == pid {
			all = append(all, p)
		}
	}
	return all
}

func largestChild(pid int) (peak int64) {
	for _, p := range below(pid) {
		peak = max(peak, HighWater(p))
	}
	return peak
}
