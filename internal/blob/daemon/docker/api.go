package docker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// get reads JSON. Its error wraps [blob.ErrNotFound] when there is no such thing.
func (c *Client) get(ctx context.Context, path string, v any) error {
	r, err := c.call(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		return fmt.Errorf("docker %s: %s: %w", c.host, path, err)
	}
	return nil
}

// call makes a request and turns a status that is none of success into an error. The path has no version: what is asked
// here has been the same in all versions that daemons of today speak, and no version is spoken by them all.
func (c *Client) call(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-tar")
	}
	r, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if r.StatusCode < 300 {
		return r, nil
	}
	defer r.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	var message struct{ Message string }
	if json.Unmarshal(said, &message) == nil && message.Message != "" {
		said = []byte(message.Message)
	}
	err = fmt.Errorf("docker %s: %s: %s: %s", c.host, path, r.Status, bytes.TrimSpace(said))
	if r.StatusCode == http.StatusNotFound {
		err = fmt.Errorf("%w: %w", err, blob.ErrNotFound)
	}
	return nil, err
}

func (c *Client) unreachable(ctx context.Context, err error) error {
	var asked *url.Error
	if errors.As(err, &asked) {
		err = asked.Err
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("docker %s: %w", c.host, context.Cause(ctx))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("docker %s: %w: join the group docker, or run as root", c.host, err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("docker %s: %w: is Docker running? Set DOCKER_HOST if it listens elsewhere, or choose another daemon with --daemon", c.host, err)
	}
	return fmt.Errorf("docker %s: %w", c.host, err)
}

// load gives an archive to the daemon's loader, and finds the errors in what it says while it works.
func (c *Client) load(ctx context.Context, archive io.Reader) error {
	r, err := c.call(ctx, http.MethodPost, "/images/load?quiet=1", archive)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if err := outcome(r.Body); err != nil && ctx.Err() == nil {
		return fmt.Errorf("docker load: %w", err)
	}
	return ctx.Err()
}

// maxSaid bounds a line of what a daemon says.
const maxSaid = 1 << 20

// outcome is the error in what a daemon says while it loads, line by line. A daemon that stops in the middle has not loaded.
func outcome(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxSaid)
	for lines.Scan() {
		var said struct{ Stream, Error string }
		if json.Unmarshal(lines.Bytes(), &said) != nil {
			continue
		}
		if said.Error != "" {
			return errors.New(said.Error)
		}
		// With the containerd image store, Docker 28 reports this and goes on, with an image that can't run.
		if strings.HasPrefix(said.Stream, "Error unpacking image") {
			return errors.New(strings.TrimSpace(said.Stream))
		}
	}
	return lines.Err()
}

// tag gives a name to the image id.
func (c *Client) tag(ctx context.Context, id string, n daemon.Name) error {
	query := url.Values{"repo": {n.Repository()}, "tag": {n.Tag()}}
	r, err := c.call(ctx, http.MethodPost, "/images/"+id+"/tag?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	return r.Body.Close()
}

// image is what Docker says of an image.
type image struct {
	ID     string `json:"Id"`
	RootFS struct{ Layers []oci.Digest }
}

// inspect asks for an image by name or ID.
func (c *Client) inspect(ctx context.Context, name string) (image, error) {
	var im image
	err := c.get(ctx, "/images/"+url.PathEscape(name)+"/json", &im)
	return im, err
}
