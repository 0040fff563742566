//go:build linux

package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// suite is the Debian release whose daemons start the examples' images.
const suite = "trixie"

// programs are the examples with something to start: what it says, and what starts it when the image's own entrypoint does not.
var programs = []struct {
	name    string
	needs   string // a program that the machine may lack
	image   string
	command []string
	says    string
}{
	{name: "cc", needs: "g++", image: "hello/cc:latest", says: "hello from C++"},
	{name: "distroless", image: "distroless/cc:debian12", command: []string{"/lib64/ld-linux-x86-64.so.2", "--version"}, says: "stable release version 2.36"},
	{name: "go", image: "hello/go:latest", says: "hello from Go on amd64, for Europe/Lisbon, with 1"},
	{name: "python", image: "hello/python:latest", says: "hello from Python"},
}

// TestPrograms builds all of each example, pushes its image, has crane read every byte of it, and starts it in containerd.
func TestPrograms(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	crane := bazeltest.Tool(t, "crane")
	var containerd bazeltest.Daemon
	if bazeltest.NoDaemons() == "" {
		containerd = bazeltest.StartDaemon(t, "containerd", suite)
		t.Setenv("CONTAINERD_ADDRESS", containerd.Socket)
	}
	copyExample(t, "distroless") // others stand on it
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(p.needs); p.needs != "" && err != nil {
				bazeltest.SkipUnlessRequired(t, "there is no "+p.needs+" on this machine")
			}
			w := copyExample(t, p.name)
			w.Bazel("build", "//...")

			reference := registry + "/" + p.image
			push(t, w, registry, "//:push", reference)
			if out, err := exec.Command(crane, "validate", "--remote", reference).CombinedOutput(); err != nil {
				t.Errorf("crane validate %s: %v\n%s", reference, err, out)
			}
			t.Run("starts", func(t *testing.T) {
				if reason := bazeltest.NoDaemons(); reason != "" {
					bazeltest.SkipUnlessRequired(t, reason)
				}
				if got := start(t, w, containerd, "//:load", p.command...); !strings.Contains(got, p.says) {
					t.Errorf("the program says %q, not %q", got, p.says)
				}
			})
		})
	}
}

// copyExample copies an example beside the others. Downloads outlive the copy's output base.
func copyExample(t *testing.T, name string) *bazeltest.Workspace {
	t.Helper()
	w := bazeltest.NewWorkspace(t, "../../../examples/"+name, "examples/"+name)
	cache, err := os.UserCacheDir()
	bazeltest.Must(t, err)
	w.Flags = []string{"--repository_cache=" + filepath.Join(cache, "rules_img", "repositories")}
	t.Cleanup(func() { w.Try("shutdown") }) // a dozen idle servers are much memory
	return w
}

// start loads an image into containerd and returns what a container of it prints.
func start(t *testing.T, w *bazeltest.Workspace, d bazeltest.Daemon, target string, command ...string) string {
	t.Helper()
	printed := strings.Fields(w.Bazel("run", target, "--", "--daemon", "containerd"))
	image := printed[len(printed)-1]
	run := []string{"ctr", "-a", d.Socket, "run", "--rm", "--fifo-dir", filepath.Join(d.Dir, "fifo"), image, filepath.Base(w.Dir)}
	return d.Run(t, append(run, command...)...)
}
