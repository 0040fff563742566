package e2e_test

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

// workspace is a copy of the consumer's workspace. It lives in the user's cache, since Bazel's sandbox hides /tmp, and stays there, so
// that the next run is warm.
type workspace struct {
	t       *testing.T
	dir     string
	startup []string // options of Bazel before the command
	prefix  []string // a command that runs Bazel
	stderr  string   // of the last command
}

func newWorkspace(t *testing.T, name, registry, base string) *workspace {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	w := &workspace{t: t, dir: filepath.Join(cache, "rules_img", "e2e", name)}
	root := bazeltest.Root(t)
	w.copy("consumer", strings.NewReplacer(
		`"../../.."`, `"`+root+`"`,
		"localhost:5000", registry,
		"sha256:"+strings.Repeat("0", 64), base,
	))
	readSources(t, root)
	return w
}

// copy lays out the workspace. Files that are as they should be are not touched.
func (w *workspace) copy(from string, fill *strings.Replacer) {
	w.t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(d.Name(), "bazel-") {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		to := filepath.Join(w.dir, rel)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		want := fill.Replace(string(b))
		if have, err := os.ReadFile(to); err == nil && string(have) == want {
			return nil
		}
		return os.WriteFile(to, []byte(want), 0o644)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// readSources reads what the build under test is made of. Go reruns a cached test when a file that it read has changed, and
// Bazel reads these behind its back.
func readSources(t *testing.T, root string) {
	t.Helper()
	for _, dir := range []string{"img", "cmd", "internal", "MODULE.bazel", "go.mod", "go.sum"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			_, err = os.ReadFile(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// bazel runs a command, which must succeed, and returns its stdout.
func (w *workspace) bazel(args ...string) string {
	w.t.Helper()
	out, err := w.run(args)
	if err != nil {
		w.t.Fatalf("bazel %s: %v\n%s", strings.Join(args, " "), err, w.stderr)
	}
	return out
}

// tryBazel runs a command that may fail.
func (w *workspace) tryBazel(args ...string) error {
	_, err := w.run(args)
	return err
}

func (w *workspace) run(args []string) (string, error) {
	w.t.Helper()
	line := append(append(append([]string{}, w.prefix...), bazeltest.Find(w.t), "--max_idle_secs=300"), w.startup...)
	line = append(line, args...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir = w.dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	w.stderr = stderr.String()
	return stdout.String(), err
}

// onOneCPU is the same workspace with a Bazel that has one CPU.
func (w *workspace) onOneCPU() *workspace {
	one := *w
	one.prefix = []string{"taskset", "-c", "0"}
	one.startup = []string{"--output_base=" + w.dir + ".one-cpu"}
	return &one
}

// fresh is the same workspace with an output base that nothing was built in.
func (w *workspace) fresh() *workspace {
	other := *w
	base := w.dir + ".fresh"
	other.startup = []string{"--output_base=" + base}
	w.t.Cleanup(func() {
		other.tryBazel("shutdown")
		exec.Command("chmod", "-R", "u+w", base).Run()
		os.RemoveAll(base)
	})
	return &other
}

// digests builds the workspace with flags and returns what its digest files say, by name.
func (w *workspace) digests(flags ...string) map[string]string {
	w.t.Helper()
	w.bazel(append([]string{"build", "//:digests", "//:app", "//:assets"}, flags...)...)
	digests := map[string]string{}
	files := w.bazel(append([]string{"cquery", "--output=files", "//:digests"}, flags...)...)
	for _, file := range strings.Fields(files) {
		path := filepath.Join(strings.TrimSpace(w.bazel("info", "execution_root")), file)
		b, err := os.ReadFile(path)
		if err != nil {
			w.t.Fatal(err)
		}
		digests[filepath.Base(file)] = string(b)
	}
	if len(digests) != 2 {
		w.t.Fatalf("digests are %v: want those of the index and of the image from nothing", digests)
	}
	return digests
}
