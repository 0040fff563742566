package cas

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// httpCache is a cache over Bazel's HTTP protocol: blobs are files below /cas/. The protocol knows no digest functions: Bazel uses the
// hash that it has.
type httpCache struct {
	endpoint Endpoint
	headers  func(ctx context.Context, uri string) (http.Header, error)
	client   *http.Client
	stall    time.Duration
}

func newHTTP(e Endpoint, o Options) *httpCache {
	stall := cmp.Or(o.Stall, time.Minute)
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true // or it would ask for gzip of what is compressed, and lose the size
	t.MaxIdleConnsPerHost = 32
	t.ResponseHeaderTimeout = stall
	return &httpCache{endpoint: e, headers: o.Credentials, client: &http.Client{Transport: t, CheckRedirect: checkRedirect}, stall: stall}
}

// maxRedirects is more than any cache needs.
const maxRedirects = 5

// checkRedirect lets a request go elsewhere, as to a bucket, without the credentials: [http.Client] knows a few headers alone that are
// secrets, and a helper may name any.
func checkRedirect(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	if via[0].URL.Scheme == "https" && next.URL.Scheme != "https" {
		return fmt.Errorf("a redirect leads from https to %s", next.URL.Scheme)
	}
	away := func(r *http.Request) bool { return r.URL.Scheme != via[0].URL.Scheme || r.URL.Host != via[0].URL.Host }
	if away(next) || slices.ContainsFunc(via, away) {
		position := next.Header.Values("Range")
		next.Header = http.Header{}
		for _, p := range position {
			next.Header.Add("Range", p)
		}
	}
	return nil
}

func (c *httpCache) close() error {
	c.client.CloseIdleConnections()
	return nil
}

func (c *httpCache) open(ctx context.Context, b named, offset int64) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	resp, err := c.do(ctx, http.MethodGet, b, offset)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	body := &httpBody{Response: resp, cache: c, blob: b, cancel: cancel, left: b.Size - offset}
	if resp.StatusCode == http.StatusOK && offset > 0 { // knows no ranges
		body.left = b.Size
		if _, err := io.CopyN(io.Discard, body, offset); err != nil {
			body.Close()
			return nil, err
		}
	}
	return body, nil
}

// missing asks for each blob. There is no request for many.
func (c *httpCache) missing(ctx context.Context, bs []named) ([]oci.Descriptor, error) {
	keys := map[oci.Digest]named{}
	var ds []oci.Descriptor
	for _, b := range bs {
		keys[b.Digest] = b
		ds = append(ds, b.Descriptor)
	}
	return blob.MissingOf(ctx, 16, ds, func(ctx context.Context, d oci.Descriptor) (bool, error) {
		resp, err := c.do(ctx, http.MethodHead, keys[d.Digest], 0)
		var said *Error
		if errors.As(err, &said) && said.Code == codes.NotFound {
			return false, nil
		}
		if err == nil {
			resp.Body.Close()
		}
		return err == nil, err
	})
}

func (c *httpCache) do(ctx context.Context, method string, b named, offset int64) (*http.Response, error) {
	req, err := c.request(ctx, method, b, offset)
	if err != nil {
		return nil, err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, c.trouble(ctx, b, err)
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent && strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)) {
		return resp, nil
	}
	io.CopyN(io.Discard, resp.Body, 64<<10) // or the connection could not be used again
	resp.Body.Close()
	e := &Error{Cache: c.endpoint.String(), What: what(b), Code: codeOf(resp.StatusCode), Message: strings.ToLower(resp.Status)}
	if e.Code == codes.NotFound {
		e.Message = "not found"
	}
	return nil, e
}

func (c *httpCache) request(ctx context.Context, method string, b named, offset int64) (*http.Request, error) {
	u := url.URL{Scheme: c.endpoint.Scheme, Host: c.endpoint.Host}
	address := u.JoinPath(c.endpoint.Path, "cas", b.key.Hash).String()
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	if c.endpoint.User != nil {
		req.Header.Set("Authorization", basic(c.endpoint))
	}
	if c.headers == nil {
		return req, nil
	}
	headers, err := c.headers(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.endpoint, err)
	}
	for name, values := range headers {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	return req, nil
}

// trouble makes an error of a request without an answer, or an answer that broke off.
func (c *httpCache) trouble(ctx context.Context, b named, err error) error {
	if context.Cause(ctx) == errStalled {
		return &Error{Cache: c.endpoint.String(), What: what(b), Code: codes.DeadlineExceeded, Message: fmt.Sprintf("nothing came for %v", c.stall)}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("the connection was closed without an answer: %w", io.ErrUnexpectedEOF)
	}
	return &Error{Cache: c.endpoint.String(), What: what(b), Message: err.Error(), cause: err}
}

// httpBody is a blob on its way.
type httpBody struct {
	*http.Response
	cache  *httpCache
	blob   named
	cancel context.CancelCauseFunc
	left   int64
}

// Read implements [io.Reader].
func (r *httpBody) Read(p []byte) (int, error) {
	stalled := time.AfterFunc(r.cache.stall, func() { r.cancel(errStalled) })
	n, err := r.Body.Read(p)
	stalled.Stop()
	r.left -= int64(n)
	if err == io.EOF && r.left > 0 {
		err = fmt.Errorf("ended %d bytes before its end: %w", r.left, io.ErrUnexpectedEOF)
	}
	if err != nil && err != io.EOF {
		err = r.cache.trouble(r.Request.Context(), r.blob, err)
	}
	return n, err
}

// Close implements [io.Closer].
func (r *httpBody) Close() error {
	defer r.cancel(nil)
	return r.Body.Close()
}
