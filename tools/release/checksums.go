package main

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// writeChecksums writes SHA256SUMS, for `sha256sum --check`, of every other file.
func (r *release) writeChecksums() error {
	var lines strings.Builder
	err := filepath.WalkDir(r.out, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		sum, err := digest(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(r.out, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%x  %s\n", sum, filepath.ToSlash(rel))
		return nil
	})
	if err != nil {
		return err
	}
	return r.write("SHA256SUMS", []byte(lines.String()))
}
