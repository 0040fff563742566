package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// openRequest opens the request that the only argument of a build verb names: @FILE.
func openRequest(args []string) (*os.File, error) {
	if len(args) != 1 || !strings.HasPrefix(args[0], "@") {
		return nil, errors.New("want one argument: @REQUEST")
	}
	return os.Open(args[0][1:])
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
