package podman

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// base is the version of the API that is spoken: the oldest that Podman 4 and 5 have.
const base = "http://podman/v4.0.0/libpod"

// Socket is a client for the service that listens on a unix socket.
func Socket(path string) *Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
		DisableCompression: true,
	}
	return &Client{&service{path: path, http: &http.Client{Transport: transport}}}
}

type service struct {
	path  string
	http  *http.Client
	known sync.Map // images, by their IDs
}

func (s *service) about(ctx context.Context) (string, oci.Platform, error) {
	var info struct {
		Host    struct{ Arch, OS string }
		Version struct{ Version string }
	}
	err := s.get(ctx, "/info", &info)
	return info.Version.Version, oci.NormalizePlatform(oci.Platform{OS: info.Host.OS, Architecture: info.Host.Arch}), err
}

// images asks for each image once, however many are loaded: what layers it has never changes.
func (s *service) images(ctx context.Context) ([]image, error) {
	var all []image
	if err := s.get(ctx, "/images/json?all=true", &all); err != nil {
		return nil, err
	}
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(8)
	for i := range all {
		asking.Go(func() error {
			id := all[i].ID
			if known, ok := s.known.Load(id); ok {
				all[i] = known.(image)
				return nil
			}
			err := s.get(ctx, "/images/"+id+"/json", &all[i])
			if errors.Is(err, blob.ErrNotFound) {
				return nil // removed meanwhile
			}
			if err == nil {
				s.known.Store(id, all[i])
			}
			return err
		})
	}
	return all, asking.Wait()
}

func (s *service) load(ctx context.Context, archive io.Reader) error {
	return s.call(ctx, http.MethodPost, "/images/load", archive, nil)
}

func (s *service) tag(ctx context.Context, id string, n daemon.Name) error {
	query := url.Values{"repo": {n.LocalRepository()}, "tag": {n.Tag()}}
	return s.call(ctx, http.MethodPost, "/images/"+id+"/tag?"+query.Encode(), nil, nil)
}

func (s *service) get(ctx context.Context, path string, v any) error {
	return s.call(ctx, http.MethodGet, path, nil, v)
}

func (s *service) call(ctx context.Context, method, path string, body io.Reader, v any) error {
	req, err := http.NewRequestWithContext(ctx, method, base+path, body)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-tar")
	}
	r, err := s.http.Do(req)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("socket %s: %w", s.path, errors.Unwrap(err))
	}
	defer r.Body.Close()
	if r.StatusCode >= 300 {
		return s.refused(path, r)
	}
	if v == nil {
		_, err = io.Copy(io.Discard, r.Body)
		return err
	}
	return json.NewDecoder(r.Body).Decode(v)
}

func (s *service) refused(path string, r *http.Response) error {
	said, _ := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	var message struct{ Message string }
	if json.Unmarshal(said, &message) == nil && message.Message != "" {
		said = []byte(message.Message)
	}
	err := fmt.Errorf("%s: %s: %s", path, r.Status, bytes.TrimSpace(said))
	if r.StatusCode == http.StatusNotFound {
		err = fmt.Errorf("%w: %w", err, blob.ErrNotFound)
	}
	return err
}
