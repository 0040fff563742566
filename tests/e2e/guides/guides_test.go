// Package guides_test does what the guides in docs/guides say, word for word: it writes their files, runs their commands with a real Bazel, and
// compares what these print with what the guide shows.
//
// In a guide, a block whose first line is a comment with a path is that file, or more of it; one of JSON says the path after its language. A block of
// sh is run, and a block of text after it is what it prints, as far as it is shown: … stands for anything, and other lines may be between.
//
// After its language, a block may say that it fails; that it serves, and so goes on until the next that does, after a first line; that it runs in a
// checkout of the project; or that it is untried, for what no test can do. Every other block is tried.
package guides_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// The guides that go on where getting-started ends.
var guides = []string{
	"platforms", "layers", "pushing", "stamping", "estargz", "rule-authors", "migration", "inspecting", "registry", "bes", "remote-cache", "bases",
	"toolchains", "loading", "ci", "troubleshooting",
}

func TestGuides(t *testing.T) {
	w := bazeltest.NewWorkspace(t, "workspace", "guides")
	bin := programs(t)
	r := runner{
		dir:     w.Dir,
		replace: strings.NewReplacer(stands(t, bin)...),
		env:     append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "DOCKER_CONFIG="+t.TempDir()),
	}
	r.clear(t)
	r.write(t, "MODULE.bazel", "include(\"//:override.MODULE.bazel\")\n")
	r.write(t, "BUILD.bazel", "")
	r.follow(t, blocks(t, "getting-started"))
	begin := t.TempDir()
	r.copyFiles(t, r.dir, begin)
	for _, name := range guides {
		t.Run(name, func(t *testing.T) {
			r.clear(t)
			r.copyFiles(t, begin, r.dir)
			r.follow(t, blocks(t, name))
		})
	}
}

func TestNoGuideIsForgotten(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(bazeltest.Root(t), "docs", "guides", "*.md"))
	bazeltest.Must(t, err)
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		if name != "getting-started" && !slices.Contains(guides, name) {
			t.Errorf("%s is not among the guides that are tried", page)
		}
	}
}

// programs is a folder for PATH, with bazel and crane.
func programs(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	// Debian's bazel prefers one on PATH, which would be this one, unless it is told not to look.
	wrapper := "#!/bin/sh\nBAZEL_DEBIAN=1 exec '" + bazeltest.Find(t) + "' --max_idle_secs=300 \"$@\"\n"
	bazeltest.Must(t, os.WriteFile(filepath.Join(bin, "bazel"), []byte(wrapper), 0o755))
	bazeltest.Must(t, os.Symlink(bazeltest.Tool(t, "crane"), filepath.Join(bin, "crane")))
	return bin
}

type runner struct {
	dir     string
	replace *strings.Replacer
	env     []string
}

// clear takes the files of the guide before away, and not what Bazel has there.
func (r runner) clear(t *testing.T) {
	t.Helper()
	for _, path := range r.files(t, r.dir) {
		bazeltest.Must(t, os.RemoveAll(path))
	}
}

func (r runner) copyFiles(t *testing.T, from, to string) {
	t.Helper()
	for _, path := range r.files(t, from) {
		if out, err := exec.Command("cp", "-a", path, to).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}

// files are the files and folders of a guide in a workspace.
func (r runner) files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	bazeltest.Must(t, err)
	var paths []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "bazel-") && e.Name() != "override.MODULE.bazel" {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths
}

// write adds text to a file.
func (r runner) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(r.dir, name)
	bazeltest.Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	have, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	text = string(have) + r.replace.Replace(text)
	bazeltest.Must(t, os.WriteFile(path, []byte(text), 0o755))
}

func (r runner) follow(t *testing.T, all []block) {
	t.Helper()
	stop := func() {}
	defer func() { stop() }()
	printed := ""
	for _, b := range all {
		switch {
		case b.file != "":
			r.write(t, b.file, b.text)
		case b.says("serves"):
			stop()
			printed, stop = r.serve(t, b)
		case b.language == "sh":
			printed = r.run(t, b)
		default:
			if line := missing(r.replace.Replace(b.text), printed); line != "" {
				t.Fatalf("line %d: what is shown there was not printed: %q. This was:\n%s", b.line, line, printed)
			}
		}
	}
}

func (r runner) run(t *testing.T, b block) string {
	t.Helper()
	cmd := r.command(t, b, "")
	out, err := cmd.CombinedOutput()
	if err != nil && !b.says("fails") {
		t.Fatalf("line %d: %v\n%s\n%s", b.line, err, b.text, out)
	}
	if err == nil && b.says("fails") {
		t.Fatalf("line %d: succeeds, and is said to fail:\n%s\n%s", b.line, b.text, out)
	}
	return string(out)
}

// serve starts the one command of a block, waits for its first line, and returns it and what ends the command.
func (r runner) serve(t *testing.T, b block) (string, func()) {
	t.Helper()
	cmd := r.command(t, b, "exec ")
	log, err := os.CreateTemp(t.TempDir(), "log")
	bazeltest.Must(t, err)
	defer log.Close()
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	bazeltest.Must(t, err)
	bazeltest.Must(t, cmd.Start())
	stop := func() { cmd.Process.Kill(); cmd.Wait() }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		said, _ := os.ReadFile(log.Name())
		t.Fatalf("line %d: %v\n%s\n%s", b.line, err, b.text, said)
	}
	return line, stop
}

func (r runner) command(t *testing.T, b block, before string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", before+r.replace.Replace(b.text))
	cmd.Dir, cmd.Env = r.dir, r.env
	if b.says("checkout") {
		cmd.Dir = bazeltest.Root(t)
	}
	return cmd
}
