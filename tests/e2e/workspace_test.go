package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// newWorkspace is the consumer's workspace with a base in a registry.
func newWorkspace(t *testing.T, name, registry, base string) *bazeltest.Workspace {
	t.Helper()
	return bazeltest.NewWorkspace(t, "consumer", name, "localhost:5000", registry, "sha256:"+strings.Repeat("0", 64), base)
}

// digests builds the workspace with flags and returns what its digest files say, by name.
func digests(t *testing.T, w *bazeltest.Workspace, flags ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, path := range w.Build(append([]string{"//:digests"}, flags...)...) {
		b, err := os.ReadFile(path)
		bazeltest.Must(t, err)
		all[filepath.Base(path)] = string(b)
	}
	if len(all) != 2 {
		t.Fatalf("digests are %v: want those of the index and of the image from nothing", all)
	}
	return all
}
