//go:build linux

package examples_test

import (
	"archive/tar"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// suite is the Debian release whose daemons start the examples' images.
const suite = "trixie"

// programs are the examples with something to start: what it says, and what starts it when the image's own entrypoint does not.
var programs = []struct {
	name    string
	needs   string // a program that the machine may lack
	tests   bool   // it has some of its own
	image   string
	command []string
	says    string
	holds   []string // paths of files
}{
	{name: "cc", needs: "g++", image: "hello/cc:latest", says: "hello from C++"},
	{name: "distroless", image: "distroless/cc:debian12", command: []string{"/lib64/ld-linux-x86-64.so.2", "--version"}, says: "stable release version 2.36", holds: []string{
		"etc/passwd", "usr/lib/os-release", "etc/ssl/certs/ca-certificates.crt", "usr/share/zoneinfo/Europe/Lisbon", "var/lib/dpkg/status.d/libc6",
	}},
	{name: "go", image: "hello/go:latest", says: "hello from Go on " + runtime.GOARCH + ", for Europe/Lisbon, with 1"},
	{name: "java", image: "hello/java:latest", says: "hello from Java 17"},
	{name: "javascript", image: "hello/javascript:latest", says: "hello from TypeScript, again in 2 days"},
	{name: "many", image: "services/service-36:latest", says: "service-36 listens on port 8036"},
	{name: "python", image: "hello/python:latest", says: "hello from Python"},
	{name: "ruleset", image: "hello/awk:latest", tests: true, says: "hello from awk"},
	{name: "shell", image: "hello/shell:latest", says: "hello from a shell script"},
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
	copyBase(t)
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(p.needs); p.needs != "" && err != nil {
				bazeltest.SkipUnlessRequired(t, "there is no "+p.needs+" on this machine")
			}
			w := copyExample(t, p.name)
			if p.name == "java" {
				debianJava(t, w)
			}
			if p.tests {
				w.Bazel("test", "//...")
			} else {
				w.Bazel("build", "//...")
			}

			reference := registry + "/" + p.image
			push(t, w, registry, "//:push", reference)
			if out, err := exec.Command(crane, "validate", "--remote", reference).CombinedOutput(); err != nil {
				t.Errorf("crane validate %s: %v\n%s", reference, err, out)
			}
			if missing := missingFiles(t, reference, p.holds); len(missing) > 0 {
				t.Errorf("the image lacks %v", missing)
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

// copyBase copies the example that others stand on, before they are built at the same time.
func copyBase(t *testing.T) { copied(t, "distroless") }

// missingFiles are those of the wanted files that the image has not.
func missingFiles(t *testing.T, reference string, wanted []string) []string {
	t.Helper()
	if len(wanted) == 0 {
		return nil
	}
	root := mutate.Extract(pull(t, reference))
	defer root.Close()
	wanted = slices.Clone(wanted)
	for r := tar.NewReader(root); ; {
		h, err := r.Next()
		if err == io.EOF {
			return wanted
		}
		bazeltest.Must(t, err)
		wanted = slices.DeleteFunc(wanted, func(path string) bool { return path == filepath.Clean(h.Name) && h.Size > 0 })
	}
}

// debianJava has a Bazel that came from Debian use Debian's Java, without the compiler of headers, which it lacks; others fetch both.
func debianJava(t *testing.T, w *bazeltest.Workspace) {
	t.Helper()
	rc, err := os.ReadFile(filepath.Join(filepath.Dir(bazeltest.Find(t)), "..", "etc", "bazelrc"))
	if err == nil && strings.Contains(string(rc), "debian_java") {
		w.WriteFile("user.bazelrc", "common --config=debian_java\nbuild --nojava_header_compilation\n")
	}
}

// start loads an image into containerd and returns what a container of it prints.
func start(t *testing.T, w *bazeltest.Workspace, d bazeltest.Daemon, target string, command ...string) string {
	t.Helper()
	printed := strings.Fields(w.Bazel("run", target, "--", "--daemon", "containerd"))
	image := printed[len(printed)-1]
	run := []string{"ctr", "-a", d.Socket, "run", "--rm", "--fifo-dir", filepath.Join(d.Dir, "fifo"), image, filepath.Base(w.Dir)}
	return d.Run(t, append(run, command...)...)
}

// TestIntegration runs the example's own test against a Docker of ours.
func TestIntegration(t *testing.T) {
	docker := bazeltest.StartDaemon(t, "docker-overlay2", suite)
	client := []string{"docker", "-H", "unix://" + docker.Socket}
	wrapper := filepath.Join(docker.Dir, "docker")
	bazeltest.Must(t, os.WriteFile(wrapper, []byte("#!/bin/sh\nexec "+strings.Join(docker.Command(t, client...), " ")+" \"$@\"\n"), 0o755))
	copyBase(t)
	w := copyExample(t, "integration")
	w.Bazel("test", "//...", "--test_output=errors", "--nocache_test_results", "--test_env=DOCKER="+wrapper, "--test_env=DOCKER_HOST=unix://"+docker.Socket)
	if got := docker.Run(t, append(client, "ps", "--all", "--quiet")...); strings.TrimSpace(got) != "" {
		t.Errorf("the test leaves containers behind: %s", got)
	}
}
