package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/bazel-contrib/rules_img/cmd/internal/wiring"
	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/layout"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// imageFlags are those of all verbs that look into images.
type imageFlags struct {
	platform *oci.Platform
	json     bool
}

func (f *imageFlags) add(flags *flag.FlagSet) {
	flags.Func("platform", "of an index, only the image for this `os/arch[/variant]`", func(s string) error {
		p, err := oci.ParsePlatform(s)
		f.platform = &p
		return err
	})
	flags.BoolVar(&f.json, "json", false, "print JSON, as docs/formats/inspect.md has it")
}

// openedImage is what a person named.
type openedImage struct {
	name   string
	source blob.Source
	root   oci.Descriptor
	layout *layout.Layout // nil for an image in a registry
}

// open finds an image: what is there as a file or directory is a layout or an archive, and everything else is in a registry.
func (f imageFlags) open(ctx context.Context, from wiring.Registries, name string) (*openedImage, error) {
	im, err := f.openRoot(ctx, from, name)
	if err != nil {
		return nil, err
	}
	if f.platform == nil {
		return im, nil
	}
	all, err := layout.Manifests(ctx, im.source, im.root)
	if err == nil {
		im.root, err = oci.Choose(all, *f.platform)
	}
	if err != nil {
		im.close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return im, nil
}

func (f imageFlags) openRoot(ctx context.Context, from wiring.Registries, name string) (*openedImage, error) {
	if isPath(name) {
		l, err := layout.OpenAny(name)
		if err != nil {
			return nil, err
		}
		root, err := l.Root()
		if err != nil {
			l.Close()
			return nil, err
		}
		return &openedImage{name, l, root, l}, nil
	}
	ref, err := oci.ParseReference(name)
	if err != nil {
		return nil, fmt.Errorf("there is no file %q, and as an image in a registry: %w", name, err)
	}
	return openReference(ctx, from, ref)
}

func openReference(ctx context.Context, from wiring.Registries, ref oci.Reference) (*openedImage, error) {
	want := string(ref.Digest)
	if want == "" {
		if ref.Tag == "" {
			ref.Tag = "latest"
		}
		want = ref.Tag
	}
	s, err := from.Source(ref)
	if err != nil {
		return nil, err
	}
	root, err := s.(blob.Resolver).Resolve(ctx, want)
	if err != nil {
		return nil, err
	}
	return &openedImage{ref.String(), s, root, nil}, nil
}

// isPath decides what a name is. Who means an image in a registry although there is a file of its name writes its registry out; who means a
// file, ./ before it.
func isPath(name string) bool {
	if strings.HasPrefix(name, "/") || strings.HasPrefix(name, "./") || strings.HasPrefix(name, "../") {
		return true
	}
	_, err := os.Stat(name)
	return err == nil
}

func (im *openedImage) close() {
	if im.layout != nil {
		im.layout.Close()
	}
}
