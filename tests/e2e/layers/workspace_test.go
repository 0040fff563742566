package layers_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// workspace is a copy of the folder workspace in the user's cache, since Bazel's sandbox hides /tmp. It stays there, so that the next
// run is warm.
type workspace struct {
	t      *testing.T
	dir    string
	stderr string // of the last command
}

func newWorkspace(t *testing.T) *workspace {
	t.Helper()
	cache, err := os.UserCacheDir()
	must(t, err)
	w := &workspace{t: t, dir: filepath.Join(cache, "rules_img", "e2e", "layers")}
	root := bazeltest.Root(t)
	must(t, copyTree("workspace", w.dir, strings.NewReplacer(`"../../../.."`, `"`+root+`"`, "/elsewhere/on/this/machine", w.dir)))
	readSources(t, root)
	return w
}

// copyTree copies files and symlinks. What is there already is not touched.
func copyTree(from, to string, fill *strings.Replacer) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
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
		want := fill.Replace(string(b))
		if have, err := os.ReadFile(dst); err == nil && string(have) == want {
			return nil
		}
		return os.WriteFile(dst, []byte(want), 0o644)
	})
}

// readSources reads what the build under test is made of. Go reruns a cached test when a file that it read has changed, and
// Bazel reads these behind its back.
func readSources(t *testing.T, root string) {
	t.Helper()
	for _, dir := range []string{"img", "cmd", "internal", "MODULE.bazel", "go.mod", "go.sum"} {
		must(t, filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			_, err = os.ReadFile(path)
			return err
		}))
	}
}

// bazel runs a command, which must succeed, and returns its stdout.
func (w *workspace) bazel(args ...string) string {
	w.t.Helper()
	out, err := w.tryBazel(args...)
	if err != nil {
		w.t.Fatalf("bazel %s: %v\n%s", strings.Join(args, " "), err, w.stderr)
	}
	return out
}

// tryBazel runs a command that may fail.
func (w *workspace) tryBazel(args ...string) (string, error) {
	w.t.Helper()
	cmd := exec.Command(bazeltest.Find(w.t), append([]string{"--max_idle_secs=300"}, args...)...)
	cmd.Dir = w.dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	w.stderr = stderr.String()
	return stdout.String(), err
}

// build builds every layer and returns the blobs: by name, their paths.
func (w *workspace) build(flags ...string) map[string]string {
	w.t.Helper()
	w.bazel(append([]string{"build", "//..."}, flags...)...)
	bin := strings.TrimSpace(w.bazel(append([]string{"info", "bazel-bin"}, flags...)...))
	blobs := map[string]string{}
	for _, pattern := range []string{"*.tgz", "*.tar.zst", "*.tar"} {
		found, err := filepath.Glob(filepath.Join(bin, pattern))
		must(w.t, err)
		for _, path := range found {
			blobs[strings.TrimSuffix(filepath.Base(path), pattern[1:])] = path
		}
	}
	return blobs
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
