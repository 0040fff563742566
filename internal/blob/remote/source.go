package remote

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// acceptManifests asks for a manifest as it is stored, whatever it is.
const acceptManifests = oci.MediaTypeIndex + ", " + oci.MediaTypeManifest + ", " +
	oci.MediaTypeDockerManifestList + ", " + oci.MediaTypeDockerManifest

// Open implements [blob.Source].
func (r *Repository) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	if oci.IsManifest(d.MediaType) {
		if body, ok := r.kept.get(d.Digest); ok {
			return io.NopCloser(strings.NewReader(body)), nil
		}
	}
	return r.OpenRange(ctx, d, 0)
}

// OpenRange implements [blob.RangeOpener].
func (r *Repository) OpenRange(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	req, err := r.get(d)
	if err != nil {
		return nil, err
	}
	if offset < 0 || offset > d.Size {
		return nil, r.errorf(req, "offset %d is outside its %d bytes", offset, d.Size)
	}
	if offset > 0 && offset == d.Size {
		return io.NopCloser(strings.NewReader("")), nil
	}
	if offset > 0 {
		req.header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, d.Size-1)) // some know no open end
	}
	resp, err := r.host.do(ctx, r.host.pulls, req, http.StatusOK, http.StatusPartialContent)
	if err != nil {
		return nil, err
	}
	if err := r.position(ctx, req, resp, d, offset); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return &pulled{resp.Body, d.Size - offset, func(err error) error { return r.host.trouble(ctx, req, err) }}, nil
}

func (r *Repository) get(d oci.Descriptor) (request, error) {
	if _, err := oci.ParseDigest(string(d.Digest)); err != nil {
		return request{}, fmt.Errorf("registry %s/%s: %w", r.host.name(), r.name, err)
	}
	return request{
		method: http.MethodGet,
		url:    r.address(d),
		header: http.Header{"Accept": {accept(d)}},
		access: access{repository: r.name},
		what:   kind(d) + " " + string(d.Digest),
	}, nil
}

// address is where a blob or manifest is.
func (r *Repository) address(d oci.Descriptor) *url.URL {
	return r.host.url(r.name, kind(d)+"s", string(d.Digest))
}

func kind(d oci.Descriptor) string {
	if oci.IsManifest(d.MediaType) {
		return "manifest"
	}
	return "blob"
}

func accept(d oci.Descriptor) string {
	if oci.IsManifest(d.MediaType) {
		return acceptManifests
	}
	return "*/*"
}

// position makes sure that the answer's body starts at offset. A registry may know no ranges and send everything.
func (r *Repository) position(ctx context.Context, req request, resp *http.Response, d oci.Descriptor, offset int64) error {
	want := d.Size - offset
	if resp.StatusCode == http.StatusOK {
		want = d.Size
	} else if !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)) {
		return r.errorf(req, "asked for bytes from %d, the answer has %q", offset, resp.Header.Get("Content-Range"))
	}
	if resp.ContentLength >= 0 && resp.ContentLength != want {
		return r.errorf(req, "the answer has %d bytes, the descriptor %d", resp.ContentLength, want)
	}
	if resp.StatusCode == http.StatusOK && offset > 0 {
		if _, err := io.CopyN(io.Discard, resp.Body, offset); err != nil {
			return r.host.trouble(ctx, req, err)
		}
	}
	return nil
}

func (r *Repository) errorf(req request, format string, args ...any) error {
	return &Error{Registry: r.host.name(), Repository: r.name, What: req.what, Message: fmt.Sprintf(format, args...)}
}

// pulled is the body of an answer. It ends one byte behind the size of the blob at the latest, so that nobody is made to
// read without end.
type pulled struct {
	io.ReadCloser
	left    int64
	trouble func(error) error
}

func (p *pulled) Read(b []byte) (int, error) {
	if p.left < 0 {
		return 0, io.EOF
	}
	n, err := p.ReadCloser.Read(b[:min(int64(len(b)), p.left+1)])
	p.left -= int64(n)
	if err == io.EOF && p.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		err = p.trouble(err)
	}
	return n, err
}

// Resolve implements [blob.Resolver]. reference is a tag or a digest. The manifest is read and kept for the Open that is
// likely to follow, so that both together are one request.
func (r *Repository) Resolve(ctx context.Context, reference string) (oci.Descriptor, error) {
	digest, digestErr := oci.ParseDigest(reference)
	if tagErr := oci.CheckTag(reference); digestErr != nil && tagErr != nil {
		return oci.Descriptor{}, fmt.Errorf("registry %s/%s: %q is neither a tag nor a digest", r.host.name(), r.name, reference)
	}
	req := request{
		method: http.MethodGet,
		url:    r.host.url(r.name, "manifests", reference),
		header: http.Header{"Accept": {acceptManifests}},
		access: access{repository: r.name},
		what:   "manifest " + reference,
	}
	resp, err := r.host.do(ctx, r.host.pulls, req, http.StatusOK)
	if err != nil {
		return oci.Descriptor{}, err
	}
	defer resp.Body.Close()
	body, err := r.readManifest(ctx, req, resp)
	if err != nil {
		return oci.Descriptor{}, err
	}
	d, err := r.describe(req, resp, body, digest)
	if err == nil {
		r.kept.put(d.Digest, string(body))
	}
	return d, err
}

func (r *Repository) readManifest(ctx context.Context, req request, resp *http.Response) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, oci.MaxManifestSize+1))
	if err != nil {
		return nil, r.host.trouble(ctx, req, err)
	}
	if len(body) > oci.MaxManifestSize {
		return nil, r.errorf(req, "has more than the %d bytes that a manifest may have", oci.MaxManifestSize)
	}
	return body, nil
}

// describe makes the descriptor of a manifest, whose digest must be the one asked for and the one the registry says, if
// there is such a one.
func (r *Repository) describe(req request, resp *http.Response, body []byte, asked oci.Digest) (oci.Descriptor, error) {
	d := oci.Describe(mediaType(resp), body)
	said := oci.Digest(resp.Header.Get("Docker-Content-Digest"))
	for _, want := range []oci.Digest{asked, said} {
		if want != "" && want != d.Digest && strings.HasPrefix(string(want), "sha256:") {
			return d, r.errorf(req, "the content has the digest %s instead of %s", d.Digest, want)
		}
	}
	if !oci.IsManifest(d.MediaType) {
		return d, r.errorf(req, "is of the type %s, which is no manifest that is known here", strconv.Quote(d.MediaType))
	}
	return d, nil
}

func mediaType(resp *http.Response) string {
	t, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	return strings.TrimSpace(t)
}
