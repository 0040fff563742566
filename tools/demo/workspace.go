package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// writeWorkspace lays out a copy of examples/hello whose base is the one in the demo's registry. The copy is in the user's cache, since Bazel's
// sandbox hides /tmp, and stays there, so that the next run is warm.
func (d *demo) writeWorkspace(base image) error {
	example := filepath.Join(d.root, "examples", "hello")
	if err := os.MkdirAll(d.bazel.workspace, 0o755); err != nil {
		return err
	}
	module, err := os.ReadFile(filepath.Join(example, "MODULE.bazel"))
	if err != nil {
		return err
	}
	for _, set := range []struct{ attribute, value string }{
		{"path", d.root},
		{"digest", base.digest},
		{"registry", d.registry.address},
		{"repository", base.repository},
		{"tag", base.tag},
	} {
		if module, err = setAttribute(module, set.attribute, set.value); err != nil {
			return fmt.Errorf("examples/hello/MODULE.bazel: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(d.bazel.workspace, "MODULE.bazel"), module, 0o644); err != nil {
		return err
	}
	for to, from := range map[string]string{
		"BUILD.bazel":   filepath.Join(example, "BUILD.bazel"),
		".bazelversion": filepath.Join(d.root, ".bazelversion"),
	} {
		b, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(d.bazel.workspace, to), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// setAttribute gives the one attribute of that name in a Starlark file another value.
func setAttribute(file []byte, name, value string) ([]byte, error) {
	line := regexp.MustCompile(`(?m)^(    ` + name + ` = )"[^"]*"`)
	if n := len(line.FindAll(file, -1)); n != 1 {
		return nil, fmt.Errorf("has %d attributes %s: want one", n, name)
	}
	return line.ReplaceAll(file, fmt.Appendf(nil, "${1}%q", value)), nil
}
