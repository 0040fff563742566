package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

// upstream is a registry, or one repository of it.
type upstream struct{ registry, repository string }

func parseUpstream(s string) (upstream, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		return upstream{}, errors.New("want https://HOST[/REPOSITORY], or http:// on this machine; credentials are where docker login puts them")
	}
	repository := strings.Trim(u.Path, "/")
	ref, err := oci.NewReference(u.Host, cmp.Or(repository, "any"))
	if err != nil {
		return upstream{}, err
	}
	if repository == "" {
		return upstream{registry: ref.Registry}, nil
	}
	return upstream{ref.Registry, ref.Repository}, nil
}

// upstreams are what the operator lets this server pull from. Where blobs are is said by whoever pushes, who must not send us elsewhere.
type upstreams struct {
	allowed []upstream
	client  *remote.Client
	log     *slog.Logger
}

// of are the repositories to ask for a blob.
func (u upstreams) of(d oci.Descriptor) (refs []oci.Reference) {
	add := func(ref oci.Reference) {
		if !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	for _, origin := range strings.Fields(d.Annotations[store.Origins]) {
		registry, repository, _ := strings.Cut(origin, "/")
		ref, err := oci.NewReference(registry, repository)
		if err == nil && slices.ContainsFunc(u.allowed, func(a upstream) bool {
			return a.registry == ref.Registry && (a.repository == "" || a.repository == ref.Repository)
		}) {
			add(ref)
		}
	}
	for _, a := range u.allowed {
		if a.repository != "" {
			add(oci.Reference{Registry: a.registry, Repository: a.repository})
		}
	}
	return refs
}

// Open implements [blob.Source].
func (u upstreams) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return u.OpenRange(ctx, d, 0)
}

// OpenRange implements [blob.RangeOpener].
func (u upstreams) OpenRange(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	refs := u.of(d)
	if len(refs) == 0 {
		return nil, fmt.Errorf("blob %s: no upstream is known to have it: %w", d.Digest, blob.ErrNotFound)
	}
	var all []blob.Named
	for _, ref := range refs {
		r, err := u.client.Repository(ref)
		if err != nil {
			return nil, err
		}
		all = append(all, blob.Named{Name: ref.Name(), Source: welcoming{blob.Retry{}.Source(r).(blob.RangeOpener), u}})
	}
	return blob.Fallback(all...).(blob.RangeOpener).OpenRange(ctx, d, offset)
}

// welcoming is a repository that has nothing where it lets us not in.
type welcoming struct {
	blob.RangeOpener
	upstreams
}

// Open implements [blob.Source].
func (w welcoming) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return w.OpenRange(ctx, d, 0)
}

// OpenRange implements [blob.RangeOpener].
func (w welcoming) OpenRange(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	r, err := w.RangeOpener.OpenRange(ctx, d, offset)
	if err != nil && w.refuses(ctx, err) {
		err = fmt.Errorf("%w: %w", blob.ErrNotFound, err)
	}
	return r, err
}

// refuses reports whether an upstream will say the same again, and logs that.
func (u upstreams) refuses(ctx context.Context, err error) bool {
	if errors.Is(err, blob.ErrNotFound) || blob.IsTransient(err) || ctx.Err() != nil {
		return false
	}
	u.log.ErrorContext(ctx, "upstream", "error", err)
	return true
}

// Missing implements [store.Place].
func (u upstreams) Missing(ctx context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error) {
	return blob.MissingOf(ctx, 16, ds, u.has)
}

func (u upstreams) has(ctx context.Context, d oci.Descriptor) (bool, error) {
	var errs []error
	for _, ref := range u.of(d) {
		r, err := u.client.Repository(ref)
		if err != nil {
			return false, err
		}
		var found oci.Descriptor
		err = blob.Retry{}.Do(ctx, func() error { found, err = r.Describe(ctx, d.Digest); return err })
		if err == nil && found.Size == d.Size {
			return true, nil
		}
		if err != nil && !errors.Is(err, blob.ErrNotFound) && !u.refuses(ctx, err) {
			errs = append(errs, err)
		}
	}
	return false, errors.Join(errs...)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
