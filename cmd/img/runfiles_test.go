package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestRunfilesWithoutSymlinks are what Bazel makes with --noenable_runfiles, which is the default on Windows: a directory all the same, in which there
// is another for the program to run in.
func TestRunfilesWithoutSymlinks(t *testing.T) {
	program := filepath.Join(t.TempDir(), "push")
	for _, dir := range []string{program + ".runfiles/_main", program + ".made/_main"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, content := range map[string]string{
		".runfiles/MANIFEST": "_main/a /x/a\n", ".runfiles_manifest": "_main/a /x/a\n", ".made/_main/a": "", ".made/MANIFEST": "_main/a /x/a\n",
	} {
		if err := os.WriteFile(program+path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	made := filepath.Join(program+".made", "_main", "a")
	for _, row := range []struct {
		what, program string
		env           map[string]string
		want          string
	}{
		{"a manifest alone", program, nil, "/x/a"},
		{"both in the environment", "other", map[string]string{"RUNFILES_DIR": program + ".runfiles", "RUNFILES_MANIFEST_FILE": program + ".runfiles/MANIFEST"}, "/x/a"},
		{"a file in the directory", "other", map[string]string{"RUNFILES_DIR": program + ".made", "RUNFILES_MANIFEST_FILE": program + ".made/MANIFEST"}, made},
	} {
		r, err := findRunfiles(row.program, func(name string) string { return row.env[name] })
		if got := r.Path("_main/a"); err != nil || got != row.want {
			t.Errorf("%s: the file is at %q, %v; want %q", row.what, got, err, row.want)
		}
	}
}
