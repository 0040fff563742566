package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// program is what examples/hello puts into its image.
const program = "usr/local/bin/registry"

// machines are the processors that the program must be for.
var machines = map[string]elf.Machine{"linux/amd64": elf.EM_X86_64, "linux/arm64/v8": elf.EM_AARCH64}

// checked is an image that was pulled back, layer by layer.
type checked struct {
	image
	unpacked map[oci.Digest]int64   // size of a layer without its compression
	made     map[oci.Digest]string  // how a layer was made, by its image's history
	programs map[string]elf.Machine // by platform
}

// check has crane validate the image, pulls it back, and looks at what is inside for each platform.
func (d *demo) check(ctx context.Context, reference string) (checked, error) {
	if _, err := output(ctx, d.root, d.crane, "validate", "--remote", reference); err != nil {
		return checked{}, err
	}
	layout := filepath.Join(d.scratch, "pulled")
	if _, err := output(ctx, d.root, d.crane, "pull", "--format=oci", reference, layout); err != nil {
		return checked{}, err
	}
	i, err := d.describe(ctx, reference)
	if err != nil {
		return checked{}, err
	}
	c := checked{i, map[oci.Digest]int64{}, map[oci.Digest]string{}, map[string]elf.Machine{}}
	for _, v := range i.variants {
		if err := c.look(ctx, dir.Store{Root: layout}, v); err != nil {
			return checked{}, fmt.Errorf("%s for %s: %w", reference, v.platform, err)
		}
	}
	for platform, want := range machines {
		if got := c.programs[platform]; got != want {
			return checked{}, fmt.Errorf("%s for %s: /%s is for %v: want %v", reference, platform, program, got, want)
		}
	}
	say("crane validated it, pulled it back, and it holds a /%s for %s", program, i.platforms())
	return c, nil
}

// look reads every layer of one platform's image.
func (c *checked) look(ctx context.Context, pulled dir.Store, v variant) error {
	config, err := pulled.Open(ctx, v.manifest.Config)
	if err != nil {
		return err
	}
	defer config.Close()
	var says v1.Image
	if err := json.NewDecoder(config).Decode(&says); err != nil {
		return err
	}
	history := slices.DeleteFunc(says.History, func(h v1.History) bool { return h.EmptyLayer })
	for n, l := range v.manifest.Layers {
		if n < len(history) {
			c.made[l.Digest] = history[n].CreatedBy
		}
		if err := c.layer(ctx, pulled, v.platform, l); err != nil {
			return fmt.Errorf("layer %s: %w", l.Digest, err)
		}
	}
	return nil
}

func (c *checked) layer(ctx context.Context, pulled dir.Store, platform string, l oci.Descriptor) error {
	r, err := pulled.Open(ctx, l)
	if err != nil {
		return err
	}
	defer r.Close()
	files, err := uncompressed(r, l.MediaType)
	if err != nil {
		return err
	}
	var size counter
	counted := io.TeeReader(files, &size)
	if err := c.find(tar.NewReader(counted), platform); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, counted)
	c.unpacked[l.Digest] = int64(size)
	return err
}

func uncompressed(r io.Reader, mediaType string) (io.Reader, error) {
	switch {
	case strings.HasSuffix(mediaType, "gzip"):
		return gzip.NewReader(r)
	case strings.HasSuffix(mediaType, "zstd"):
		return zstd.NewReader(r)
	}
	return r, nil
}

// find looks for the program among the files of a layer.
func (c *checked) find(files *tar.Reader, platform string) error {
	for {
		h, err := files.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Name == program {
			if c.programs[platform], err = machine(files); err != nil {
				return fmt.Errorf("/%s: %w", program, err)
			}
		}
	}
}

// machine is the processor that a program is for.
func machine(r io.Reader) (elf.Machine, error) {
	f, err := os.CreateTemp("", "program-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := io.Copy(f, r); err != nil {
		return 0, err
	}
	e, err := elf.NewFile(f)
	if err != nil {
		return 0, err
	}
	return e.Machine, nil
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
