package main

import (
	"errors"
	"fmt"
	"io"
	"os"
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
	return os.WriteFile(path, content, 0o644)
}
