package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// putBlob gets d into the repository: by what is left of an upload that broke off, by mounting it, or by sending it.
func (r *Repository) putBlob(ctx context.Context, d oci.Descriptor, src blob.Source, c claim) error {
	last, broken := r.host.broken.take(r.name, d)
	if broken {
		if whole, err := r.resume(ctx, d, src, last); whole || err != nil {
			return err
		}
	}
	at, err := r.begin(ctx, d, c)
	if err != nil || at == nil {
		return err
	}
	return r.upload(ctx, d, src, upload{at: at, again: broken})
}

// upload is one try at sending the bytes of a blob.
type upload struct {
	at      *url.URL
	offset  int64 // what the registry has already
	again   bool  // the last one broke off
	further bool  // but got further than the one before it
}

// begin returns where to upload d to, or nil if d is there now.
func (r *Repository) begin(ctx context.Context, d oci.Descriptor, c claim) (at *url.URL, err error) {
	for _, from := range c.from {
		if !r.host.mounts.worth(from) {
			continue
		}
		if at, err = r.mount(ctx, d, from); err != nil || at == nil {
			return nil, err
		}
		if c.sure && r.host.mounts.worth(from) { // which it is not if the answer was an error
			r.host.mounts.learn(true, refuses)
		}
	}
	if r.host.mounts.of(false) != refuses {
		if at, err = r.mount(ctx, d, r.name); err != nil || at == nil {
			return nil, err
		}
	}
	there, err := r.doubt(ctx, d)
	switch {
	case err != nil || there:
		return nil, err
	case at != nil:
		return at, nil
	}
	return r.post(ctx, d, "")
}

// doubt asks whether d is there after all, if an answer to mounting it did not make that clear.
func (r *Repository) doubt(ctx context.Context, d oci.Descriptor) (there bool, err error) {
	m := &r.host.mounts
	if m.of(false) == unknown && m.due(d.Size) {
		there, err = m.ask(func() (bool, error) { return r.ask(ctx, d) })
		if there {
			m.learn(false, refuses)
		}
		return there, err
	}
	if m.settled(ctx); m.of(false) == refuses {
		return r.ask(ctx, d)
	}
	return false, nil
}

// mount asks to mount d from another repository, or from this one, and returns nil if that was done, otherwise where to
// upload d to. A registry that takes the question amiss is asked without it.
func (r *Repository) mount(ctx context.Context, d oci.Descriptor, from string) (*url.URL, error) {
	cross := from != r.name
	at, err := r.post(ctx, d, from)
	if status := statusOf(err); status >= 400 && status != http.StatusTooManyRequests {
		if at, err = r.post(ctx, d, ""); err == nil && cross {
			r.host.mounts.deny(from)
		} else if err == nil {
			r.host.mounts.learn(false, refuses)
		}
	} else if at == nil && err == nil {
		r.host.mounts.learn(cross, mounts)
	}
	return at, err
}

// post begins an upload and returns where it goes; nil if d was mounted.
func (r *Repository) post(ctx context.Context, d oci.Descriptor, from string) (*url.URL, error) {
	req := r.request(http.MethodPost, r.host.url(r.name, "blobs", "uploads/"), d)
	if from != "" {
		req.url.RawQuery = url.Values{"mount": {string(d.Digest)}, "from": {from}}.Encode()
		req.access.from = from
	}
	resp, err := r.host.do(ctx, r.host.pushes, req, http.StatusAccepted, http.StatusCreated)
	if err != nil {
		return nil, err
	}
	defer drain(resp)
	if resp.StatusCode == http.StatusCreated && from != "" {
		return nil, nil
	}
	return r.location(req, resp)
}

func (r *Repository) request(method string, u *url.URL, d oci.Descriptor) request {
	return request{
		method: method,
		url:    u,
		header: http.Header{},
		access: access{repository: r.name, push: true},
		what:   kind(d) + " " + string(d.Digest),
	}
}

// location is where the answer sends the upload. Behind a proxy that ends TLS, a registry may believe that it speaks plain HTTP.
func (r *Repository) location(req request, resp *http.Response) (*url.URL, error) {
	at, err := resp.Location()
	if err != nil {
		return nil, r.errorf(req, "the answer does not say where the upload goes")
	}
	if at.Scheme == "http" && r.host.scheme() == "https" {
		if !r.host.isAt(at) {
			return nil, r.errorf(req, "the upload would go to %s without TLS", at.Host)
		}
		at.Scheme, at.Host = "https", r.host.name()
	}
	return at, nil
}

// upload sends d, in one request. If that breaks off, it is remembered where it went, for the next Put.
func (r *Repository) upload(ctx context.Context, d oci.Descriptor, src blob.Source, u upload) error {
	to := *u.at
	to.RawQuery = strings.TrimPrefix(to.RawQuery+"&digest="+url.QueryEscape(string(d.Digest)), "&")
	req := r.request(http.MethodPut, &to, d)
	req.header.Set("Content-Type", "application/octet-stream")
	if u.offset == 0 || u.offset < d.Size { // else all has arrived, and only the end is to be said
		req.size = d.Size - u.offset
		req.body = func(ctx context.Context) (io.ReadCloser, error) { return openAt(ctx, src, d, u.offset) }
	}
	if 0 < u.offset && u.offset < d.Size { // of no bytes there is no range
		req.header.Set("Content-Range", fmt.Sprintf("%d-%d", u.offset, d.Size-1))
	}
	if u.again { // a registry that ends the connection because it does not want the blob gets to say so
		req.header.Set("Expect", "100-continue")
	}
	resp, err := r.host.do(ctx, r.host.pushes, req, http.StatusCreated, http.StatusNoContent, http.StatusOK)
	if err != nil {
		return r.brokeOff(d, u, err)
	}
	drain(resp)
	return nil
}

// brokeOff remembers an upload that a next try may go on with.
func (r *Repository) brokeOff(d oci.Descriptor, u upload, err error) error {
	if !blob.IsTransient(err) {
		return err
	}
	r.host.broken.keep(r.name, d, u)
	if said := (*Error)(nil); errors.As(err, &said) {
		said.progressed = u.further
	}
	return err
}

// openAt opens d from offset on, and leaves out what comes before if the source can't.
func openAt(ctx context.Context, src blob.Source, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	if offset == 0 {
		return src.Open(ctx, d)
	}
	if s, ok := src.(blob.RangeOpener); ok {
		r, err := s.OpenRange(ctx, d, offset)
		if !errors.Is(err, errors.ErrUnsupported) {
			return r, err
		}
	}
	r, err := src.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, r, offset); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// sendManifest sends a manifest under its digest or a tag.
func (r *Repository) sendManifest(ctx context.Context, d oci.Descriptor, reference, body string) error {
	req := r.request(http.MethodPut, r.host.url(r.name, "manifests", reference), d)
	req.header.Set("Content-Type", d.MediaType)
	req.size = int64(len(body))
	req.body = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	resp, err := r.host.do(ctx, r.host.pushes, req, http.StatusCreated, http.StatusOK)
	if err != nil {
		return err
	}
	drain(resp)
	return nil
}
