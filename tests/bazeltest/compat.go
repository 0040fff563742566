package bazeltest

import (
	"os/exec"
	"path/filepath"
	"strings"
)

// compat are the options that make a Bazel 7 behave as 9 does, as far as it can: those before the command, and those after it.
// Repositories keep the names that 7 gives them, which are in layers whose bytes are golden; and 7's own py_binary returns a struct.
func (w *Workspace) compat() (startup, flags []string) {
	w.t.Helper()
	out, err := exec.Command(Find(w.t), "--version").Output()
	Must(w.t, err)
	if w.plain || !strings.HasPrefix(string(out), "bazel 7.") {
		return nil, nil
	}
	return []string{"--bazelrc=" + filepath.Join(Root(w.t), "tools", "compat.bazelrc")}, []string{"--config=bazel9", "--noincompatible_use_plus_in_repo_names", "--noincompatible_disallow_struct_provider_syntax"}
}

// isExample reports whether a workspace is an example: they are built as they stand, and the Java that Debian's Bazel
// brings has a name that only 7 gives to repositories.
func isExample(folder string) bool {
	return strings.Contains(filepath.ToSlash(folder), "examples/")
}
