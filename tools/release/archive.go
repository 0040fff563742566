package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
)

// What a consumer needs of the checkout: the rules, and the sources of the programs.
var consumed = []string{"MODULE.bazel", "BUILD.bazel", "LICENSE", "README.md", "CHANGELOG.md", "go.mod", "go.sum", "img", "cmd", "internal", "proto"}

func (r *release) name() string        { return "rules_img-" + r.version }
func (r *release) archiveName() string { return r.name() + ".tar.gz" }

// writeArchive writes the module with the release's lockfile in it. Names are in order, and all that could differ between two checkouts is set.
func (r *release) writeArchive() error {
	files, err := committed(r.root, consumed)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	for _, name := range files {
		if isTest(name) {
			continue
		}
		if err := r.archive(t, name); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return r.write(r.archiveName(), b.Bytes())
}

// isTest reports whether a file is of no use to consumers.
func isTest(name string) bool {
	return strings.HasSuffix(name, "_test.go") || strings.Contains("/"+name, "/testdata/")
}

func (r *release) archive(t *tar.Writer, name string) error {
	path := filepath.Join(r.root, filepath.FromSlash(name))
	if name == shippedLockfile {
		path = filepath.Join(r.out, lockfileName)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	err = t.WriteHeader(&tar.Header{Name: r.name() + "/" + name, Mode: 0o644, Size: int64(len(b)), ModTime: r.time, Format: tar.FormatUSTAR})
	if err != nil {
		return err
	}
	_, err = t.Write(b)
	return err
}
