package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// openRequest opens the request of a build verb: that of a worker, or the file that the only argument names: @FILE.
func openRequest(p process) (io.ReadCloser, error) {
	if p.Request != nil {
		return io.NopCloser(p.Request), nil
	}
	if len(p.Args) != 1 || !strings.HasPrefix(p.Args[0], "@") {
		return nil, errors.New("want one argument: @REQUEST")
	}
	return os.Open(p.Args[0][1:])
}

// outputs are the files that a build verb writes: by the type of their record, path and then content.
type outputs map[string]string

func (o outputs) write(kind string, content []byte) error {
	path, ok := o[kind]
	if !ok {
		return fmt.Errorf("the request names no file for the output %q", kind)
	}
	return writeFile(path, content)
}

func writeFile(path string, content []byte) error {
	return writeWhole(path, func(f *os.File) error { _, err := f.Write(content); return err })
}

// writeWhole writes beside the place and renames, so that nothing half-written is ever there.
func writeWhole(path string, write func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".img-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
