package podman

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Command is a client that runs the program podman.
func Command(podman ...string) *Client { return &Client{command(podman)} }

type command []string

func (c command) about(ctx context.Context) (string, oci.Platform, error) {
	var info struct {
		Host    struct{ Arch, OS string }
		Version struct{ Version string }
	}
	err := c.json(ctx, &info, "info", "--format", "json")
	return info.Version.Version, oci.NormalizePlatform(oci.Platform{OS: info.Host.OS, Architecture: info.Host.Arch}), err
}

func (c command) images(ctx context.Context) ([]image, error) {
	out, err := c.run(ctx, nil, "images", "--all", "--quiet", "--no-trunc")
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	args := []string{"image", "inspect", "--format", "json"}
	for _, id := range strings.Fields(string(out)) {
		if id = strings.TrimPrefix(id, "sha256:"); !ids[id] {
			ids[id] = true
			args = append(args, id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	var all []image
	err = c.json(ctx, &all, args...)
	return all, err
}

func (c command) load(ctx context.Context, archive io.Reader) error {
	_, err := c.run(ctx, archive, "load", "--quiet")
	return err
}

func (c command) tag(ctx context.Context, id string, n daemon.Name) error {
	_, err := c.run(ctx, nil, "tag", id, n.Local())
	return err
}

func (c command) json(ctx context.Context, v any, args ...string) error {
	out, err := c.run(ctx, nil, args...)
	if err != nil {
		return err
	}
	return json.Unmarshal(out, v)
}

func (c command) run(ctx context.Context, stdin io.Reader, args ...string) ([]byte, error) {
	all := append(append([]string{}, c[1:]...), args...)
	cmd := exec.CommandContext(ctx, c[0], all...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = stdin, &stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", c[0], args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
