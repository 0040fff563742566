// Package bazeltest is what tests that drive a real Bazel share: [Find] gets the Bazel, [Golden] compares with a reviewed file.
//
// The law: a test never passes because a tool is not there; what it needs, it gets or fails for.
package bazeltest

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Root is the top of this repository. Tests run in the directory of their package, somewhere below it.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("there is no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

// Find returns $BAZEL, or what tools/get-bazel finds or gets.
func Find(t testing.TB) string {
	t.Helper()
	if bazel := os.Getenv("BAZEL"); bazel != "" {
		return bazel
	}
	cmd := exec.Command(filepath.Join(Root(t), "tools", "get-bazel"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tools/get-bazel: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// Golden compares got with the file of that name in testdata; with -update it writes the file first.
func Golden(t testing.TB, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got); -update rewrites it:\n%s", path, d)
	}
}
