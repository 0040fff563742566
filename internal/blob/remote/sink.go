package remote

import (
	"context"
	"fmt"
	"net/http"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Missing implements [blob.Sink]. It asks for manifests, side by side. Of other blobs it says missing unless this run has seen
// them here, since Put finds out with the request that it needs anyway.
func (r *Repository) Missing(ctx context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error) {
	return blob.MissingOf(ctx, r.host.pushes.most, ds, r.has) // more would wait for their turn
}

func (r *Repository) has(ctx context.Context, d oci.Descriptor) (bool, error) {
	if !oci.IsManifest(d.MediaType) {
		return r.places(d).has(d.Digest, r.name), nil
	}
	return r.Has(ctx, d)
}

// Has asks the registry whether d is there.
func (r *Repository) Has(ctx context.Context, d oci.Descriptor) (bool, error) {
	if r.places(d).has(d.Digest, r.name) {
		return true, nil
	}
	return r.ask(ctx, d)
}

// ask asks the registry whether d is there.
func (r *Repository) ask(ctx context.Context, d oci.Descriptor) (bool, error) {
	req, err := r.get(d)
	if err != nil {
		return false, err
	}
	header, err := r.head(ctx, req)
	if header != nil {
		r.places(d).found(d.Digest, r.name)
	}
	return header != nil, err
}

// HasTag asks the registry whether the tag names d. A registry that doesn't say which manifest it has is taken for having another one.
func (r *Repository) HasTag(ctx context.Context, d oci.Descriptor, tag string) (bool, error) {
	if err := oci.CheckTag(tag); err != nil {
		return false, fmt.Errorf("registry %s/%s: %w", r.host.name(), r.name, err)
	}
	req, err := r.get(d)
	if err != nil {
		return false, err
	}
	req.url, req.what = r.host.url(r.name, "manifests", tag), "manifest "+tag
	header, err := r.head(ctx, req)
	if err != nil || header.Get("Docker-Content-Digest") != string(d.Digest) {
		return false, err
	}
	r.places(d).found(d.Digest, r.name)
	return true, nil
}

// head makes a request a HEAD, or a GET where HEAD is not allowed, and returns the answer's header; nil if nothing is there.
func (r *Repository) head(ctx context.Context, req request) (http.Header, error) {
	req.access.push = true // so that the token will do for what comes next
	if req.method = http.MethodHead; r.host.hasNoHead() {
		req.method = http.MethodGet
		req.header.Set("Range", "bytes=0-0")
	}
	resp, err := r.host.do(ctx, r.host.pushes, req, http.StatusOK, http.StatusPartialContent)
	switch status := statusOf(err); {
	case err == nil:
		drain(resp)
		return resp.Header, nil
	case status == http.StatusNotFound:
		return nil, nil
	case req.method == http.MethodHead && (status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented):
		r.host.setNoHead()
		return r.head(ctx, req)
	}
	return nil, err
}

// Put implements [blob.Sink]. A manifest that is known to be there is not sent, but read, since Tag needs it.
func (r *Repository) Put(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	if _, err := oci.ParseDigest(string(d.Digest)); err != nil {
		return fmt.Errorf("registry %s/%s: %w", r.host.name(), r.name, err)
	}
	isManifest := oci.IsManifest(d.MediaType)
	mountable := func() bool { return !isManifest && r.host.mounts.of(true) != refuses }
	c, mine, err := r.places(d).enter(ctx, d.Digest, r.name, mountable)
	switch {
	case err != nil:
		return err
	case mine && isManifest:
		err = r.putManifest(ctx, d, src)
		c.done(err == nil)
	case mine:
		err = r.putBlob(ctx, d, src, c)
		c.done(err == nil)
	case isManifest:
		_, err = r.manifest(ctx, d, src)
	}
	return err
}

func (r *Repository) places(d oci.Descriptor) *places {
	if oci.IsManifest(d.MediaType) {
		return &r.host.manifests
	}
	return &r.host.blobs
}

func (r *Repository) putManifest(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	body, err := r.manifest(ctx, d, src)
	if err != nil {
		return err
	}
	return r.sendManifest(ctx, d, string(d.Digest), body)
}

// Tag implements [blob.Tagger]. The protocol knows no other way than to send the manifest under the tag.
func (r *Repository) Tag(ctx context.Context, d oci.Descriptor, tag string) error {
	if err := oci.CheckTag(tag); err != nil {
		return fmt.Errorf("registry %s/%s: %w", r.host.name(), r.name, err)
	}
	body, err := r.manifest(ctx, d, r)
	if err != nil {
		return err
	}
	return r.sendManifest(ctx, d, tag, body)
}

// manifest reads d, and keeps it.
func (r *Repository) manifest(ctx context.Context, d oci.Descriptor, src blob.Source) (string, error) {
	if body, ok := r.kept.get(d.Digest); ok {
		return body, nil
	}
	body, err := blob.ReadAll(ctx, "source", src, d)
	if err != nil {
		return "", err
	}
	r.kept.put(d.Digest, string(body))
	return string(body), nil
}
