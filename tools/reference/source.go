package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// values are the allowed values of attributes, which Bazel's extract lacks: by the label of the file, and the attribute's name.
type values map[[2]string][]string

// of returns the values of an attribute of a rule that a file defines: as the file says, or else as another does that it loads the attribute from.
func (v values) of(file, name string) []string {
	if found, ok := v[[2]string{file, name}]; ok {
		return found
	}
	return v[[2]string{"", name}]
}

var (
	attrStart = regexp.MustCompile(`^(\s*)(?:"(\w+)":|(\w+) =) attr\.(\w+)\($`)
	allowed   = regexp.MustCompile(`^\s*values = \[(.*)\],$`)
	quoted    = regexp.MustCompile(`"([^"]*)"`)
	constant  = regexp.MustCompile(`(?m)^([A-Z][A-Z_]*) = `)
)

// readValues reads the sources below a folder. They are as buildifier writes them, one argument a line. What is defined outside of rules/, for several rules, is
// found without its file too.
func readValues(dir string) (values, error) {
	v := values{}
	return v, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".bzl" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		folder := filepath.ToSlash(filepath.Dir(path))
		v.read("//"+folder+":"+filepath.Base(path), !strings.HasSuffix(folder, "/rules"), string(b))
		return nil
	})
}

func (v values) read(file string, shared bool, source string) {
	name, indent := "", ""
	for line := range strings.Lines(source) {
		line = strings.TrimSuffix(line, "\n")
		if m := attrStart.FindStringSubmatch(line); m != nil {
			indent, name = m[1], m[2]+strings.ToLower(m[3])
		} else if line == indent+")," || line == indent+")" {
			name = ""
		} else if m := allowed.FindStringSubmatch(line); m != nil && name != "" {
			var list []string
			for _, q := range quoted.FindAllStringSubmatch(m[1], -1) {
				list = append(list, q[1])
			}
			v[[2]string{file, name}] = list
			if shared {
				v[[2]string{"", name}] = list
			}
		}
	}
}

// mentionsConstants fails for a constant of a public file that its page, which Bazel's extract has none of, does not name.
func mentionsConstants(file, page string) error {
	b, err := os.ReadFile(filepath.Join("img", file+".bzl"))
	if err != nil {
		return err
	}
	for _, m := range constant.FindAllStringSubmatch(string(b), -1) {
		if !slices.Contains(strings.Split(page, "`"), m[1]) {
			return fmt.Errorf("img/%s.bzl: its documentation does not name `%s`", file, m[1])
		}
	}
	return nil
}
