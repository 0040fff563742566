// Package cas reads blobs from the content-addressable storage that Bazel builds into: a remote cache over the Remote Execution
// API or over HTTP ([Open]), and Bazel's disk cache ([Disk]). A layer that a build left there need not visit the machine that ran Bazel
// before it goes where it is pushed.
//
// The law: these are caches. What is not there is [blob.ErrNotFound] and no disaster; bytes are streamed, never gathered; and
// nothing is written.
package cas

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Options are what a [Cache] may need. The zero value is good for a cache without authentication.
type Options struct {
	// Credentials, if not nil, returns the headers of requests to a URI: what a credential helper says. It may be called
	// concurrently, for each request, and should remember its answers.
	Credentials func(ctx context.Context, uri string) (http.Header, error)
	// Key names a blob in the cache; nil is [SHA256]. It reports false for a blob that it has no name for.
	Key func(oci.Descriptor) (Key, bool)
	// Connections is how many there may be to a gRPC cache; 0 is 4. A further one is made when those there are have work.
	Connections int
	// Stall is how long nothing may arrive before a transfer is given up; 0 is a minute.
	Stall time.Duration
}

// Cache is a remote cache: a [blob.Source] and [blob.RangeOpener]. Wrap it in [blob.Retry], which resumes a transfer that
// broke, and in [blob.Verify]. It connects when it is first used.
type Cache struct {
	name      string
	key       func(oci.Descriptor) (Key, bool)
	transport transport
}

// transport is how blobs come from a cache.
type transport interface {
	// open starts at offset, which is inside the blob.
	open(ctx context.Context, b named, offset int64) (io.ReadCloser, error)
	missing(ctx context.Context, bs []named) ([]oci.Descriptor, error)
	close() error
}

// named is a blob and its name in the cache.
type named struct {
	oci.Descriptor
	key Key
}

// Open returns the cache at an endpoint as Bazel's --remote_cache has it: see [ParseEndpoint].
func Open(endpoint string, o Options) (*Cache, error) {
	e, err := ParseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	if o.Key == nil {
		o.Key = SHA256
	}
	c := &Cache{name: e.String(), key: o.Key}
	if strings.HasPrefix(e.Scheme, "http") {
		c.transport = newHTTP(e, o)
		return c, nil
	}
	c.transport, err = newGRPC(e, o)
	return c, err
}

// Name is the endpoint, without the secret that may be in it.
func (c *Cache) Name() string { return c.name }

// Close ends the connections.
func (c *Cache) Close() error { return c.transport.close() }

// Open implements [blob.Source].
func (c *Cache) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return c.OpenRange(ctx, d, 0)
}

// OpenRange implements [blob.RangeOpener].
func (c *Cache) OpenRange(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	b, err := c.named(d)
	if err != nil {
		return nil, err
	}
	if offset < 0 || offset > d.Size {
		return nil, fmt.Errorf("%s: blob %s: offset %d is outside its %d bytes", c.name, d.Digest, offset, d.Size)
	}
	if offset == d.Size && (offset > 0 || d.Digest == oci.DigestOf(nil)) { // a cache need not have the empty blob
		return io.NopCloser(strings.NewReader("")), nil
	}
	return c.transport.open(ctx, b, offset)
}

// Missing returns those of ds that the cache lacks, in their order; it keeps the others from being evicted for a while. A blob that it
// has no name for is missing.
func (c *Cache) Missing(ctx context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error) {
	var all []named
	unnamed := map[oci.Digest]bool{}
	for _, d := range ds {
		if b, err := c.named(d); err == nil {
			all = append(all, b)
		} else {
			unnamed[d.Digest] = true
		}
	}
	absent := map[oci.Digest]bool{}
	if len(all) > 0 {
		found, err := c.transport.missing(ctx, all)
		if err != nil {
			return nil, err
		}
		for _, d := range found {
			absent[d.Digest] = true
		}
	}
	var missing []oci.Descriptor
	for _, d := range ds {
		if absent[d.Digest] || unnamed[d.Digest] {
			missing = append(missing, d)
		}
	}
	return missing, nil
}

func (c *Cache) named(d oci.Descriptor) (named, error) {
	if _, err := oci.ParseDigest(string(d.Digest)); err != nil {
		return named{}, fmt.Errorf("%s: %w", c.name, err)
	}
	key, ok := c.key(d)
	if !ok {
		return named{}, fmt.Errorf("%s: blob %s: its name in this cache is not known: %w", c.name, d.Digest, blob.ErrNotFound)
	}
	return named{d, key}, nil
}
