package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// programs makes the pages of docs/cli.
func programs() (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "reference")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	mains, err := filepath.Glob("cmd/*/main.go")
	if err != nil {
		return nil, err
	}
	pages := map[string][]byte{}
	for _, main := range mains {
		name := filepath.Base(filepath.Dir(main))
		binary := filepath.Join(dir, name)
		if _, err := command("go", "build", "-buildvcs=false", "-o", binary, "./cmd/"+name); err != nil {
			return nil, err
		}
		if pages["docs/cli/"+name+".md"], err = program(name, binary); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

var verbLine = regexp.MustCompile(`(?m)^  ([a-z][a-z-]*) `)

// program is the page of one program: its help, and that of each verb that it lists.
func program(name, binary string) ([]byte, error) {
	var page strings.Builder
	overview, err := help(binary)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&page, "# %s\n\nWhat `%s --help` says, and those of its verbs that have flags. `make docs` writes this page anew.\n\n```\n%s```\n", name, name, overview)
	for _, m := range verbLine.FindAllStringSubmatch(overview, -1) {
		text, err := help(binary, m[1])
		if err != nil { // it has one argument and no flags: the overview says all
			continue
		}
		fmt.Fprintf(&page, "\n## %s %s\n\n```\n%s```\n", name, m[1], text)
	}
	return []byte(page.String()), nil
}

// help is what a program says when it is asked for help, wherever it says it.
func help(binary string, verb ...string) (string, error) {
	cmd := exec.Command(binary, append(verb, "--help")...)
	cmd.Env = []string{"HOME=/home/you"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out.String())
	}
	return out.String(), nil
}
