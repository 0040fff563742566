// Package podman loads images into Podman, through its socket or, where none listens, its command.
//
// Podman's loader takes an OCI layout and opens only the layers that it does not find in its storage by the digest of
// the blob, so the archive leaves out those whose diff ID an image of Podman has. A layer that Podman has in another
// compression only is not found that way: then the loader fails, and all of the image is sent.
//
// The entry points are [Dial] and [Client.Load]. The law: names are given after the load, by Podman itself, so that a
// load that fails moves none.
package podman

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/layout"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Client talks to one Podman.
type Client struct{ podman engine }

// engine is a way to Podman.
type engine interface {
	// about says which Podman it is and what it runs.
	about(ctx context.Context) (version string, platform oci.Platform, err error)
	// images are the IDs (digests of configs) of its images, and of what layers they are.
	images(ctx context.Context) ([]image, error)
	load(ctx context.Context, archive io.Reader) error
	tag(ctx context.Context, id string, name daemon.Name) error
}

type image struct {
	ID     string `json:"Id"`
	Digest oci.Digest
	RootFS struct{ Layers []oci.Digest }
}

// Dial finds Podman: $CONTAINER_HOST, the user's socket, root's socket, or the command podman.
func Dial(getenv func(string) string) (*Client, error) {
	if s := getenv("CONTAINER_HOST"); s != "" {
		if path, ok := strings.CutPrefix(s, "unix://"); ok {
			return Socket(path), nil
		}
	} else if path := socket(getenv); path != "" {
		return Socket(path), nil
	}
	path, err := exec.LookPath("podman")
	if err != nil {
		return nil, errors.New("podman: no socket listens and there is no podman on PATH: install Podman, start podman.socket, or set CONTAINER_HOST=unix:///…")
	}
	return Command(path), nil
}

// socket is where Podman's service listens by default, or nothing.
func socket(getenv func(string) string) string {
	var candidates []string
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		candidates = append(candidates, filepath.Join(dir, "podman", "podman.sock"))
	}
	if os.Getuid() == 0 {
		candidates = append(candidates, "/run/podman/podman.sock")
	}
	for _, path := range candidates {
		if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
			return path
		}
	}
	return ""
}

// Load implements [daemon.Daemon].
func (c *Client) Load(ctx context.Context, im daemon.Image) (daemon.Loaded, error) {
	asking, stop := im.Asking(ctx)
	defer stop()
	version, own, err := c.podman.about(asking)
	if err != nil {
		return daemon.Loaded{}, fmt.Errorf("podman: %w", err)
	}
	done := daemon.Loaded{Daemon: "podman " + version}
	if err := c.load(ctx, im, own, &done); err != nil {
		return done, fmt.Errorf("podman %s: %w", version, err)
	}
	return done, nil
}

func (c *Client) load(ctx context.Context, im daemon.Image, own oci.Platform, done *daemon.Loaded) (err error) {
	if done.Root, err = daemon.One(ctx, im, own); err != nil {
		return err
	}
	names, err := daemon.OnlyTags(im.Names)
	if err != nil {
		return err
	}
	parts, err := daemon.Read(ctx, im.Source, done.Root)
	if err != nil {
		return err
	}
	there, err := c.podman.images(ctx)
	if err != nil {
		return err
	}
	if holds(there, parts) {
		done.Report.Present = parts.All()
	} else if err := c.send(ctx, im, parts, there, done); err != nil {
		return err
	}
	for _, n := range names {
		if !im.Dry {
			if err := c.podman.tag(ctx, parts.Config.Digest.Encoded(), n); err != nil {
				return err
			}
		}
		done.Names = append(done.Names, n.Local())
	}
	return nil
}

// send sends the archive without the layers that are there, or all of it when Podman does not find them.
func (c *Client) send(ctx context.Context, im daemon.Image, parts daemon.Parts, there []image, done *daemon.Loaded) (err error) {
	archive := daemon.Archive{Image: im, Layout: layout.Image{Root: parts.Manifest}, OnlyLayout: true}
	if have := known(there, parts); len(have) > 0 {
		archive.Missing = daemon.Without(have, nil)
		if done.Report, err = archive.Send(ctx, c.podman.load); err == nil || ctx.Err() != nil {
			return err
		}
		done.Notes = append(done.Notes, fmt.Sprintf("sent all %d layers, since Podman did not find the %d that it has: %v", len(parts.Layers), len(have), err))
		archive.Missing = nil
	}
	done.Report, err = archive.Send(ctx, c.podman.load)
	return err
}

// holds reports whether Podman has the image, the manifest included.
func holds(there []image, parts daemon.Parts) bool {
	for _, im := range there {
		if im.ID == parts.Config.Digest.Encoded() && im.Digest == parts.Manifest.Digest {
			return true
		}
	}
	return false
}

// known are the layers of which an image of Podman has the content.
func known(there []image, parts daemon.Parts) []oci.Descriptor {
	has := map[oci.Digest]bool{}
	for _, im := range there {
		for _, id := range im.RootFS.Layers {
			has[id] = true
		}
	}
	var have []oci.Descriptor
	for i, l := range parts.Layers {
		if has[parts.DiffIDs[i]] {
			have = append(have, l)
		}
	}
	return have
}
