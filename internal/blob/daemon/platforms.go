package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/layout"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Platforms says which of an index to load. The zero value is the one that the daemon runs.
type Platforms struct {
	All    bool
	Wanted []oci.Platform
}

// ParsePlatforms reads "all", or platforms with commas between them.
func ParsePlatforms(s string) (Platforms, error) {
	if s == "all" {
		return Platforms{All: true}, nil
	}
	var p Platforms
	for part := range strings.SplitSeq(s, ",") {
		wanted, err := oci.ParsePlatform(part)
		if err != nil {
			return p, err
		}
		p.Wanted = append(p.Wanted, wanted)
	}
	return p, nil
}

// Choice is what to load of an image.
type Choice struct {
	// Manifests are the image manifests to load, in the order of the index or of the wish.
	Manifests []oci.Descriptor
	// Leave tells what to leave out; it is nil when that is nothing. See blob.CopyOptions.
	Leave func(oci.Descriptor) bool
}

// Choose decides what to load of im by a daemon that runs own. An image that is no index is always loaded.
func Choose(ctx context.Context, im Image, own oci.Platform) (Choice, error) {
	if !oci.IsIndex(im.Root.MediaType) {
		return Choice{Manifests: []oci.Descriptor{im.Root}}, nil
	}
	all, err := layout.Manifests(ctx, im.Source, im.Root)
	if err != nil {
		return Choice{}, err
	}
	if im.Platforms.All {
		return Choice{Manifests: all}, nil
	}
	wanted := im.Platforms.Wanted
	if len(wanted) == 0 {
		wanted = []oci.Platform{likely(all, own)}
	}
	chosen := map[oci.Digest]bool{}
	var c Choice
	for _, p := range wanted {
		d, err := oci.Choose(all, p)
		if err != nil {
			return Choice{}, fmt.Errorf("%w: choose with --platform", err)
		}
		if !chosen[d.Digest] {
			chosen[d.Digest] = true
			c.Manifests = append(c.Manifests, d)
		}
	}
	c.Leave = func(d oci.Descriptor) bool { return oci.IsImageManifest(d.MediaType) && !chosen[d.Digest] }
	return c, nil
}

// likely is the platform of all to load when nobody says which. Daemons rarely say which variant they run, so where
// there is none for own itself, it is the lowest variant of its architecture.
func likely(all []oci.Descriptor, own oci.Platform) oci.Platform {
	if _, err := oci.Choose(all, own); err == nil {
		return own
	}
	lowest, found := own, false
	for _, d := range all {
		p := oci.NormalizePlatform(*d.Platform)
		if p.OS == own.OS && p.Architecture == own.Architecture && (!found || oci.ComparePlatforms(p, lowest) < 0) {
			lowest, found = p, true
		}
	}
	return lowest
}

// One is [Choose] for a daemon that keeps one platform under a name.
func One(ctx context.Context, im Image, own oci.Platform) (oci.Descriptor, error) {
	c, err := Choose(ctx, im, own)
	if err != nil {
		return oci.Descriptor{}, err
	}
	if len(c.Manifests) != 1 {
		var names []string
		for _, d := range c.Manifests {
			names = append(names, oci.FormatPlatform(*d.Platform))
		}
		slices.Sort(names)
		return oci.Descriptor{}, fmt.Errorf("it keeps one platform under a name: choose one of %s with --platform", strings.Join(names, ", "))
	}
	return c.Manifests[0], nil
}
