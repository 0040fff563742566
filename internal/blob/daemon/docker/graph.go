package docker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/layout"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// loadGraph loads into a daemon with a graph driver. Its loader never opens the file of a layer whose chain (itself on
// all below it) it has, so that file can be left out; and an image whose config it has only wants names.
func (c *Client) loadGraph(ctx context.Context, im daemon.Image, about about, done *daemon.Loaded) error {
	d, err := daemon.One(ctx, im, about.platform)
	if err != nil {
		return err
	}
	done.Root = d
	names, err := daemon.OnlyTags(im.Names)
	if err != nil {
		return err
	}
	parts, err := daemon.Read(ctx, im.Source, d)
	if err != nil {
		return err
	}
	if err := about.reads(parts); err != nil {
		return err
	}
	id := string(parts.Config.Digest)
	if _, err := c.inspect(ctx, id); err == nil {
		done.Report.Present = parts.All()
		done.Names = familiar(names)
		if im.Dry {
			return nil
		}
		return c.tagAll(ctx, id, names)
	} else if !errors.Is(err, blob.ErrNotFound) {
		return err
	}
	if err := c.sendGraph(ctx, im, parts, names, done); err != nil {
		return err
	}
	done.Names = familiar(names)
	if im.Dry {
		return nil
	}
	if _, err := c.inspect(ctx, id); err != nil {
		return fmt.Errorf("the image is not there after the load: %w", err)
	}
	return nil
}

// reads reports layers that the daemon would choke on, with a message that does not say why: before version 23, Docker
// reads no zstd.
func (a about) reads(parts daemon.Parts) error {
	major, _, _ := strings.Cut(a.version, ".")
	if n, err := strconv.Atoi(major); err != nil || n >= 23 {
		return nil
	}
	for _, l := range parts.Layers {
		if oci.ToOCI(l.MediaType) == oci.MediaTypeLayerZstd {
			return fmt.Errorf("layer %s is compressed with zstd, which Docker reads since version 23: compress layers with gzip", l.Digest)
		}
	}
	return nil
}

func (c *Client) tagAll(ctx context.Context, id string, names []daemon.Name) error {
	for _, n := range names {
		if err := c.tag(ctx, id, n); err != nil {
			return err
		}
	}
	return nil
}

// sendGraph sends the archive without the layers that are there, or all of it when the daemon does not take that.
func (c *Client) sendGraph(ctx context.Context, im daemon.Image, parts daemon.Parts, names []daemon.Name, done *daemon.Loaded) (err error) {
	archive := daemon.Archive{Image: im, Layout: layout.Image{Root: parts.Manifest}}
	for _, n := range names {
		archive.Layout.Names = append(archive.Layout.Names, n.Full())
	}
	have, err := c.chain(ctx, parts.DiffIDs)
	if err != nil {
		return err
	}
	if have > 0 {
		archive.Missing = daemon.Without(parts.Layers[:have], parts.Layers[have:])
		if done.Report, err = archive.Send(ctx, c.load); err == nil || ctx.Err() != nil {
			return err
		}
		done.Notes = append(done.Notes, fmt.Sprintf("sent all %d layers, since the daemon did not take the archive without the %d that it has: %v", len(parts.Layers), have, err))
		archive.Missing = nil
	}
	done.Report, err = archive.Send(ctx, c.load)
	return err
}

// chain is how many of the layers, from the lowest, an image of the daemon has. The API has no question about layers,
// so it looks at the images.
func (c *Client) chain(ctx context.Context, diffIDs []oci.Digest) (int, error) {
	var all []image
	if err := c.get(ctx, "/images/json?all=1", &all); err != nil {
		return 0, err
	}
	var mu sync.Mutex
	longest := 0
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(8)
	for _, im := range all {
		asking.Go(func() error {
			mu.Lock()
			enough := longest == len(diffIDs)
			mu.Unlock()
			if enough {
				return nil
			}
			layers, err := c.layers(ctx, im.ID)
			if errors.Is(err, blob.ErrNotFound) {
				return nil // removed meanwhile
			}
			mu.Lock()
			defer mu.Unlock()
			longest = max(longest, common(diffIDs, layers))
			return err
		})
	}
	err := asking.Wait()
	return longest, err
}

// layers are those of the image id. They never change, so they are asked for once, however many images are loaded.
func (c *Client) layers(ctx context.Context, id string) ([]oci.Digest, error) {
	if known, ok := c.known.Load(id); ok {
		return known.([]oci.Digest), nil
	}
	im, err := c.inspect(ctx, id)
	if err != nil {
		return nil, err
	}
	c.known.Store(id, im.RootFS.Layers)
	return im.RootFS.Layers, nil
}

func common(a, b []oci.Digest) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}
