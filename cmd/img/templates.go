package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/request"
	"github.com/bazel-contrib/rules_img/internal/template"
)

// templateInput gathers what the templates of a request can use.
type templateInput struct {
	status                   map[string]any
	baseManifest, baseConfig []byte
	annotations              map[string]string // of the file
	tags                     []string          // of the file
}

// record takes the records that kinds with templates share, and reports whether r is one.
func (in *templateInput) record(r request.FileRecord) (bool, error) {
	switch r.Type {
	case request.Status:
		return true, in.readStatus(r.From)
	case request.ManifestBase:
		return true, readInto(&in.baseManifest, r.From)
	case request.ManifestBaseConfig:
		return true, readInto(&in.baseConfig, r.From)
	case request.ManifestAnnotations:
		if in.annotations == nil {
			in.annotations = map[string]string{}
		}
		return true, readAnnotations(r.From, in.annotations)
	case request.Tags:
		return true, in.readTags(r.From)
	}
	return false, nil
}

func (in *templateInput) readStatus(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if in.status == nil {
		in.status = map[string]any{}
	}
	return template.ReadStatus(f, in.status)
}

// data puts it together: a build setting wins over a key of the workspace status.
func (in *templateInput) data(t request.Templates) (template.Data, error) {
	settings, err := t.Values()
	if err != nil {
		return template.Data{}, err
	}
	d := template.Data{Values: map[string]any{}, Hint: t.Hint}
	maps.Copy(d.Values, in.status)
	maps.Copy(d.Values, settings)
	if in.baseManifest == nil {
		return d, nil
	}
	base, env, err := template.Base(in.baseConfig, in.baseManifest, string(oci.DigestOf(in.baseManifest)))
	if err != nil {
		return d, fmt.Errorf("base: %w", err)
	}
	d.Values["base"], d.Env = base, env
	return d, nil
}

// expandAnnotations expands the attribute's annotations and, over them, the file's.
func (in *templateInput) expandAnnotations(d template.Data, attribute map[string]string) (map[string]string, error) {
	all, err := d.ExpandMap("annotations", attribute)
	if err != nil {
		return nil, err
	}
	file, err := d.ExpandMap("annotations_file", in.annotations)
	if err != nil || file == nil {
		return all, err
	}
	if all == nil {
		return file, nil
	}
	maps.Copy(all, file)
	return all, nil
}

func (in *templateInput) readTags(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = eachLine(f, func(line string) error {
		in.tags = append(in.tags, strings.TrimSpace(line))
		return nil
	})
	if err != nil {
		return fmt.Errorf("tag_file: %w", err)
	}
	return nil
}

// expandTags expands the attribute's tags and then the file's. A template may leave a tag out: it expands to nothing.
func (in *templateInput) expandTags(d template.Data, fromAttribute []string) ([]string, error) {
	var tags []string
	for i, text := range slices.Concat(fromAttribute, in.tags) {
		attribute := "tag"
		if i >= len(fromAttribute) {
			attribute = "tag_file"
		}
		tag, err := d.Expand(attribute, text)
		if err != nil {
			return nil, err
		}
		if tag != "" && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags, nil
}
