// Package bases_test pulls bases with a real Bazel, from a registry that is counted, broken and locked in the ways that registries are.
package bases_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// workspace is a consumer's workspace with a repository cache in which nothing is.
type workspace struct {
	*bazeltest.Workspace
	t     *testing.T
	cache string
}

func newWorkspace(t *testing.T, folder string, replace ...string) workspace {
	t.Helper()
	w := workspace{bazeltest.NewWorkspace(t, folder, "bases-"+folder, replace...), t, t.TempDir()}
	w.Flags = []string{"--repository_cache=" + w.cache}
	return w
}

// pulls writes what the workspace pulls: the attributes of each, by name.
func (w workspace) pulls(bases map[string]string) {
	w.t.Helper()
	text := "pull = use_repo_rule(\"@rules_img//img:pull.bzl\", \"pull\")\n"
	names := []string{}
	for _, name := range slices.Sorted(maps.Keys(bases)) {
		text += fmt.Sprintf("\npull(\n    name = %q,\n%s)\n", name, bases[name])
		names = append(names, fmt.Sprintf("%q", name))
	}
	w.WriteFile("pulls.MODULE.bazel", text)
	w.WriteFile("pulls.bzl", "BASES = ["+strings.Join(names, ", ")+"]\n")
}

// contents builds a target and returns the contents of its files.
func (w workspace) contents(args ...string) []string {
	w.t.Helper()
	var all []string
	for _, path := range w.Build(args...) {
		b, err := os.ReadFile(path)
		bazeltest.Must(w.t, err)
		all = append(all, string(b))
	}
	return all
}

func wantIn(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("does not say %q:\n%s", want, text)
		}
	}
}
