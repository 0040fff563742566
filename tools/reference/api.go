package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
)

// api makes the pages of docs/api.
func api() (map[string][]byte, error) {
	protos, err := extract()
	if err != nil {
		return nil, err
	}
	allowed, err := readValues("img")
	if err != nil {
		return nil, err
	}
	pages := map[string][]byte{}
	var rows strings.Builder
	for _, path := range protos {
		var m module
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if err := decode(b, reflect.ValueOf(&m).Elem()); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		file := strings.TrimSuffix(filepath.Base(path), ".binaryproto")
		p := page{allowed: allowed}
		p.module(file, m)
		if p.err != nil {
			return nil, fmt.Errorf("img/%s.bzl: %w", file, p.err)
		}
		if err := mentionsConstants(file, p.String()); err != nil {
			return nil, err
		}
		pages["docs/api/"+file+".md"] = []byte(p.String())
		fmt.Fprintf(&rows, "| [%s.bzl](%s.md) | %s |\n", file, file, strings.Join(m.links(file), ", "))
	}
	pages["docs/api/README.md"] = []byte(fmt.Sprintf(contents, rows.String()))
	return pages, nil
}

const contents = `# The rules

What each file that users load has, from the documentation in its source. ` + "`make docs`" + ` writes these pages anew.

| file | what is in it |
|---|---|
%s`

// extract has Bazel extract the documentation, and returns the paths of what it made, in order.
func extract() ([]string, error) {
	bazel, err := command("tools/get-bazel")
	if err != nil {
		return nil, err
	}
	if _, err := command(bazel, "--max_idle_secs=300", "build", "//docs/api:all", "--ui_event_filters=-info", "--noshow_progress"); err != nil {
		return nil, err
	}
	bin, err := command(bazel, "info", "bazel-bin")
	if err != nil {
		return nil, err
	}
	public, err := filepath.Glob("img/*.bzl")
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, file := range public {
		paths = append(paths, filepath.Join(bin, "docs", "api", strings.TrimSuffix(filepath.Base(file), ".bzl")+".binaryproto"))
	}
	return paths, nil
}

// command runs a command and returns what it prints, without the last newline.
func command(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimRight(string(out), "\n"), nil
}
