package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// runfiles finds the files that Bazel put beside a run target, by the ways it may have put them there: a directory
// beside the program, one that the program is in, one named in the environment, or a manifest of paths.
type runfiles struct {
	dir   string
	paths map[string]string
}

func findRunfiles(program string, getenv func(string) string) (runfiles, error) {
	if dir := program + ".runfiles"; isDir(dir) {
		return runfiles{dir: dir}, nil
	}
	if i := strings.LastIndex(filepath.ToSlash(program), ".runfiles/"); i >= 0 {
		return runfiles{dir: program[:i+len(".runfiles")]}, nil
	}
	if dir := getenv("RUNFILES_DIR"); isDir(dir) {
		return runfiles{dir: dir}, nil
	}
	for _, path := range []string{getenv("RUNFILES_MANIFEST_FILE"), program + ".runfiles_manifest"} {
		if f, err := os.Open(path); err == nil {
			defer f.Close()
			paths, err := parseRunfilesManifest(f)
			if err != nil {
				err = fmt.Errorf("runfiles manifest %s: %w", path, err)
			}
			return runfiles{paths: paths}, err
		}
	}
	return runfiles{dir: program + ".runfiles"}, nil
}

// Path is where the file with a path relative to the runfiles directory is.
func (r runfiles) Path(name string) string {
	if path, ok := r.paths[name]; ok {
		return path
	}
	return filepath.Join(r.dir, filepath.FromSlash(name))
}

// parseRunfilesManifest reads lines of "name path". A line that begins with a space has both escaped: \s is a space, \n a
// newline, \b a backslash.
func parseRunfilesManifest(r io.Reader) (map[string]string, error) {
	paths := map[string]string{}
	unescape := strings.NewReplacer(`\s`, " ", `\n`, "\n", `\b`, `\`)
	err := eachLine(r, func(line string) error {
		line, escaped := strings.CutPrefix(line, " ")
		name, path, _ := strings.Cut(line, " ")
		if escaped {
			name, path = unescape.Replace(name), unescape.Replace(path)
		}
		paths[name] = path
		return nil
	})
	return paths, err
}

func isDir(path string) bool {
	if path == "" {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
