package cas

import (
	"context"
	"fmt"
	"slices"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// abilities are what a server says it can do.
type abilities struct {
	functions []repb.DigestFunction_Value
	batch     int64 // bytes in one BatchReadBlobs; 0 is no limit
	zstd      bool
}

// abilities asks the server, once. A failure is not remembered.
func (c *grpcCache) abilities(ctx context.Context) (*abilities, error) {
	c.mu.Lock()
	known := c.known
	c.mu.Unlock()
	if known != nil {
		return known, nil
	}
	asked, err := c.askAbilities(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = asked
	return asked, nil
}

func (c *grpcCache) askAbilities(ctx context.Context) (*abilities, error) {
	conn, done, err := c.conns.get()
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, c.stall)
	defer cancel()
	resp, err := repb.NewCapabilitiesClient(conn).GetCapabilities(ctx, &repb.GetCapabilitiesRequest{InstanceName: c.endpoint.Path})
	if status.Code(err) == codes.Unimplemented { // older than the question
		return &abilities{}, nil
	}
	if err != nil {
		return nil, c.trouble(ctx, "what it can do", err)
	}
	cache := resp.GetCacheCapabilities()
	return &abilities{
		functions: cache.GetDigestFunctions(),
		batch:     cache.GetMaxBatchTotalSizeBytes(),
		zstd:      slices.Contains(cache.GetSupportedCompressors(), repb.Compressor_ZSTD),
	}, nil
}

// check says what is wrong when the server can't have blobs with names of that kind. One that says nothing has SHA-256.
func (a *abilities) check(name string, f repb.DigestFunction_Value) error {
	if len(a.functions) == 0 && f == repb.DigestFunction_SHA256 || slices.Contains(a.functions, f) {
		return nil
	}
	return fmt.Errorf("%s: has no blobs with %s digests, only %v: build with another --digest_function", name, f, a.functions)
}
