package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// runfiles finds the files that Bazel put beside a run target: in a directory or, where it makes no symlinks, as on Windows unless it is told to,
// where a manifest says.
type runfiles struct {
	dir   string
	paths map[string]string
}

func findRunfiles(program string, getenv func(string) string) (runfiles, error) {
	r := runfiles{dir: runfilesDir(program, getenv)}
	for _, path := range []string{getenv("RUNFILES_MANIFEST_FILE"), program + ".runfiles_manifest"} {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		defer f.Close()
		if r.paths, err = parseRunfilesManifest(f); err != nil {
			err = fmt.Errorf("runfiles manifest %s: %w", path, err)
		}
		return r, err
	}
	return r, nil
}

// runfilesDir is a directory beside the program, one that the program is in, or one named in the environment.
func runfilesDir(program string, getenv func(string) string) string {
	beside := program + ".runfiles"
	if isDir(beside) {
		return beside
	}
	if i := strings.LastIndex(filepath.ToSlash(program), ".runfiles/"); i >= 0 {
		return program[:i+len(".runfiles")]
	}
	return cmp.Or(getenv("RUNFILES_DIR"), beside)
}

// Path is where the file with a path relative to the runfiles directory is.
func (r runfiles) Path(name string) string {
	inDir := filepath.Join(r.dir, filepath.FromSlash(name))
	if path, ok := r.paths[name]; ok {
		if _, err := os.Stat(inDir); err != nil {
			return path
		}
	}
	return inDir
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
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
