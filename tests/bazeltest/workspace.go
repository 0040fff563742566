package bazeltest

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Workspace is a consumer's workspace: a copy of a folder beside the test. It lives in the user's cache, since Bazel's sandbox hides
// /tmp, and stays there, so that the next run is warm.
type Workspace struct {
	Dir     string
	Startup []string // options of Bazel before the command
	Prefix  []string // a command that runs Bazel
	Flags   []string // of every command that builds
	Stderr  string   // of the last command

	plain bool // Bazel is as it comes
	t     testing.TB
}

// NewWorkspace copies the folder to a place that name tells apart from others. In its files, the relative path of the override of rules_img
// becomes this repository's, and each pair of replace is replaced.
func NewWorkspace(t testing.TB, folder, name string, replace ...string) *Workspace {
	t.Helper()
	cache, err := os.UserCacheDir()
	Must(t, err)
	root := Root(t)
	w := &Workspace{t: t, Dir: filepath.Join(cache, "rules_img", "e2e", name), plain: isExample(folder)}
	Must(t, copyTree(folder, w.Dir, func(text string) string {
		text = overridePath.ReplaceAllLiteralString(text, `path = "`+root+`"`)
		return strings.NewReplacer(replace...).Replace(text)
	}))
	readSources(t, root)
	return w
}

var overridePath = regexp.MustCompile(`path = "(\.\./)+\.\."`)

// copyTree copies files and symlinks. What is there already and right is not touched, so that Bazel sees no change.
func copyTree(from, to string, fill func(string) string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(d.Name(), "bazel-") {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		dst := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(dst, 0o755)
		case d.Type()&fs.ModeSymlink != 0:
			text, err := os.Readlink(path)
			if have, _ := os.Readlink(dst); err != nil || have == text {
				return err
			}
			os.Remove(dst)
			return os.Symlink(text, dst)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return writeFile(dst, fill(string(b)), info.Mode().Perm())
	})
}

// WriteFile writes a file of the workspace, unless it is as it should be.
func (w *Workspace) WriteFile(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.Dir, name)
	Must(w.t, os.MkdirAll(filepath.Dir(path), 0o755))
	Must(w.t, writeFile(path, text, 0o644))
}

func writeFile(path, text string, mode fs.FileMode) error {
	if have, err := os.ReadFile(path); err == nil && string(have) == text {
		return nil
	}
	return os.WriteFile(path, []byte(text), mode)
}

// readSources reads what the build under test is made of. Go reruns a cached test when a file that it read has changed, and
// Bazel reads these behind its back.
func readSources(t testing.TB, root string) {
	t.Helper()
	for _, dir := range []string{"img", "cmd", "internal", "MODULE.bazel", "go.mod", "go.sum"} {
		Must(t, filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			_, err = os.ReadFile(path)
			return err
		}))
	}
}

// Bazel runs a command, which must succeed, and returns its stdout.
func (w *Workspace) Bazel(command string, args ...string) string {
	w.t.Helper()
	out, err := w.Try(command, args...)
	if err != nil {
		w.t.Fatalf("bazel %s %s: %v\n%s", command, strings.Join(args, " "), err, w.Stderr)
	}
	return out
}

// Fails runs a command, which must fail, and returns its stderr.
func (w *Workspace) Fails(command string, args ...string) string {
	w.t.Helper()
	if _, err := w.Try(command, args...); err == nil {
		w.t.Fatalf("bazel %s %s: succeeded", command, strings.Join(args, " "))
	}
	return w.Stderr
}

// Try runs a command that may fail, and returns its stdout.
func (w *Workspace) Try(command string, args ...string) (string, error) {
	w.t.Helper()
	startup, flags := w.compat()
	line := slices.Concat(w.Prefix, []string{Find(w.t), "--max_idle_secs=300"}, startup, w.Startup, []string{command}, flags, w.Flags, args)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir = w.Dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	w.Stderr = stderr.String()
	return stdout.String(), err
}

// OnOneCPU is the same workspace with a Bazel that has one CPU.
func (w *Workspace) OnOneCPU() *Workspace {
	one := *w
	one.Prefix = []string{"taskset", "-c", "0"}
	one.Startup = []string{"--output_base=" + w.Dir + ".one-cpu"}
	return &one
}

// Fresh is the same workspace with an output base in which nothing was built or fetched.
func (w *Workspace) Fresh() *Workspace {
	other := *w
	base := w.Dir + ".fresh"
	other.Startup = []string{"--output_base=" + base}
	w.t.Cleanup(func() {
		other.Try("shutdown")
		exec.Command("chmod", "-R", "u+w", base).Run()
		os.RemoveAll(base)
	})
	return &other
}

// Build builds targets, flags among them, and returns the paths of their files, of an output group that --output_groups names too.
func (w *Workspace) Build(args ...string) []string {
	w.t.Helper()
	w.Bazel("build", args...)
	root := strings.TrimSpace(w.Bazel("info", "execution_root"))
	var paths []string
	for _, file := range strings.Fields(w.Bazel("cquery", append([]string{"--output=files"}, args...)...)) {
		paths = append(paths, filepath.Join(root, file))
	}
	return paths
}

// FilesAbove are the outputs of that many bytes or more, by their paths.
func (w *Workspace) FilesAbove(size int64) []string {
	w.t.Helper()
	var found []string
	Must(w.t, filepath.WalkDir(strings.TrimSpace(w.Bazel("info", "bazel-bin")), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() >= size {
			found = append(found, path)
		}
		return err
	}))
	return found
}

// Must ends the test for an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
