package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bazel-contrib/rules_img/tools/debian"
)

// elsewhere is the base of machines that have no apt.
const elsewhere = "gcr.io/distroless/static-debian12"

// seed puts the base into the registry, with crane, as if somebody else had.
func (d *demo) seed(ctx context.Context, from string) (image, error) {
	if _, err := exec.LookPath("apt-get"); err != nil && from == "" {
		from = elsewhere
	}
	target := d.registry.address + "/base:" + debian.Suite
	if from != "" {
		say("copying the base %s", from)
		if _, err := output(ctx, d.root, d.crane, "copy", from, target); err != nil {
			return image{}, err
		}
	} else if err := d.makeBase(ctx, target); err != nil {
		return image{}, err
	}
	base, err := d.describe(ctx, target)
	if err == nil {
		say("put the base into the registry at %s, started for this: %s for %s", d.registry.address, amount(base.size()), base.platforms())
	}
	return base, err
}

func (d *demo) makeBase(ctx context.Context, target string) error {
	say("making a base of Debian %s packages for %s", debian.Suite, strings.Join(debian.Architectures, " and "))
	layout := filepath.Join(d.scratch, "base")
	if err := os.MkdirAll(layout, 0o755); err != nil {
		return err
	}
	debs := filepath.Join(filepath.Dir(d.cache), "debs", "base")
	if _, err := debian.Build(ctx, debs, layout); err != nil {
		return err
	}
	_, err := output(ctx, d.root, d.crane, "push", layout, target)
	return err
}
