package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/cas"
	"github.com/bazel-contrib/rules_img/internal/credential"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/proto/blobcache"
)

const blobCacheVariable = "IMG_BLOB_CACHE_ENDPOINT"

// committedWithin is how long a registry may take to look for blobs in its stores before it is asked again.
const committedWithin = 5 * time.Minute

// openCommitter returns nil when the environment names no service, and a function to close it.
func openCommitter(p process, plan deploy.Plan, retry blob.Retry) (commit deploy.Commit, closing func() error, err error) {
	endpoint := p.Getenv(blobCacheVariable)
	if endpoint == "" || !plan.Uses("cas_registry") {
		return nil, func() error { return nil }, nil
	}
	o := cas.Options{}
	if helper := helperOf(p, plan); helper != "" {
		helpers, err := credential.Parse(helper, workspace(p))
		if err != nil {
			return nil, nil, err
		}
		o.Credentials = helpers.Headers
	}
	conn, err := cas.Dial(endpoint, o)
	if err != nil {
		return nil, nil, fmt.Errorf("$%s: %w", blobCacheVariable, err)
	}
	c := committer{endpoint, conn, retry, committedWithin, map[oci.Digest]deploy.Blob{}, baseOrigins(plan)}
	for _, b := range plan.Blobs {
		c.blobs[b.Digest] = b
	}
	return c.commit, conn.Close, nil
}

// helperOf is the credential helper of the plan's caches.
func helperOf(p process, plan deploy.Plan) string {
	helper := ""
	for _, c := range cachesOf(p, plan) {
		helper = cmp.Or(helper, c.CredentialHelper)
	}
	return helper
}

// baseOrigins are where blobs can be pulled that the build has not made.
func baseOrigins(plan deploy.Plan) (all []*blobcache.Origin) {
	for _, b := range plan.Bases {
		for _, registry := range b.Registries {
			all = append(all, &blobcache.Origin{Registry: registry, Repository: b.Repository})
		}
	}
	return all
}

// committer tells a registry what it can serve from its cache.
type committer struct {
	endpoint string
	conn     *grpc.ClientConn
	retry    blob.Retry
	within   time.Duration
	blobs    map[oci.Digest]deploy.Blob
	origins  []*blobcache.Origin
}

// commit asks in portions, since a request has a size limit.
func (c committer) commit(ctx context.Context, to oci.Reference, ds []oci.Descriptor) (missing []oci.Descriptor, err error) {
	for some := range slices.Chunk(ds, 1000) {
		lacking, err := c.ask(ctx, to, some)
		if err != nil {
			return nil, fmt.Errorf("blob cache %w", err)
		}
		missing = append(missing, lacking...)
	}
	return missing, nil
}

func (c committer) ask(ctx context.Context, to oci.Reference, ds []oci.Descriptor) ([]oci.Descriptor, error) {
	in := &blobcache.CommitRequest{Repository: to.Repository}
	of := map[string]oci.Descriptor{}
	for _, d := range ds {
		b, err := c.blob(d)
		if err != nil {
			return nil, err
		}
		in.Blobs = append(in.Blobs, b)
		of[string(b.Sha256)] = d
	}
	var out *blobcache.CommitResponse
	err := c.retry.Do(ctx, func() (err error) {
		asking, stop := context.WithTimeout(ctx, c.within)
		defer stop()
		out, err = blobcache.Commit(asking, c.conn, in)
		return cas.Trouble(c.endpoint, "commit to "+to.Repository, err)
	})
	if err != nil {
		return nil, commitError{err}
	}
	var missing []oci.Descriptor
	for _, sum := range out.Missing {
		d, ok := of[string(sum)]
		if !ok {
			return nil, fmt.Errorf("at %s lacks %x, for which it was not asked", to.Registry, sum)
		}
		missing = append(missing, d)
	}
	return missing, nil
}

func (c committer) blob(d oci.Descriptor) (*blobcache.Blob, error) {
	sum, err := hex.DecodeString(d.Digest.Encoded())
	if err != nil {
		return nil, err
	}
	b := &blobcache.Blob{Sha256: sum, Size: d.Size}
	known, ok := c.blobs[d.Digest]
	if b.Blake3, err = hex.DecodeString(known.BLAKE3); err != nil {
		return nil, fmt.Errorf("blob %s: blake3: %w", d.Digest, err)
	}
	if !ok || known.File == "" && known.Output == "" {
		b.Origins = c.origins
	}
	return b, nil
}

// commitError is the error for a service that can't be told.
type commitError struct{ error }

func (e commitError) Unwrap() error { return e.error }

// Hint says what a person can do.
func (commitError) Hint() string {
	return "$" + blobCacheVariable + " is the --grpc-port of the registry, with --enable-blobcache, and wants the credentials that the registry wants: " +
		"USER:PASSWORD@ before the host, or a credential helper; without the variable the push finds out itself what the registry lacks"
}
