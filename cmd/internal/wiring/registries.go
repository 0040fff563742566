package wiring

import (
	"context"
	"fmt"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Registries opens repositories: all by one client, so that they share connections, tokens and what it learns, and all
// retried.
type Registries struct {
	Client *remote.Client
	// Retry is how what may pass is tried again.
	Retry blob.Retry
}

// OpenRegistries makes the registries of one run. jobs bounds the requests to each at once; 0 is the client's choice.
func OpenRegistries(getenv func(string) string, jobs int) Registries {
	return Registries{Client: NewClient(getenv, remote.Options{Requests: jobs})}
}

// NewClient makes a client with the credentials that the environment leads to.
func NewClient(getenv func(string) string, o remote.Options) *remote.Client {
	o.Keychain = remote.NewKeychain(getenv)
	return remote.New(o)
}

// Source opens a repository to read from.
func (r Registries) Source(ref oci.Reference) (blob.Source, error) {
	repo, err := r.Client.Repository(ref)
	if err != nil {
		return nil, err
	}
	return r.Retry.Source(repo), nil
}

// Bases are the repositories that the plan's bases are pulled from, counted by their names.
func (r Registries) Bases(plan deploy.Plan, moved *blob.Counter) ([]blob.Named, error) {
	var all []blob.Named
	for _, b := range plan.Bases {
		for _, registry := range b.Registries {
			ref, err := oci.NewReference(registry, b.Repository)
			if err != nil {
				return nil, fmt.Errorf("plan of %s: base: %w", plan.Name, err)
			}
			s, err := r.Source(ref)
			if err != nil {
				return nil, fmt.Errorf("plan of %s: base: %w", plan.Name, err)
			}
			all = append(all, Counted(moved, ref.Name(), s))
		}
	}
	return all, nil
}

// Sink opens a repository to push to.
func (r Registries) Sink(ref oci.Reference) (deploy.Repository, error) {
	repo, err := r.Client.Repository(ref)
	if err != nil {
		return nil, err
	}
	return retriedSink{r.Retry.Sink(repo).(deploy.Repository), r.Retry, repo}, nil
}

// retriedSink can be asked for single blobs and tags too.
type retriedSink struct {
	deploy.Repository
	retry blob.Retry
	plain *remote.Repository
}

// Has implements [deploy.Haver].
func (s retriedSink) Has(ctx context.Context, d oci.Descriptor) (has bool, err error) {
	err = s.retry.Do(ctx, func() error { has, err = s.plain.Has(ctx, d); return err })
	return has, err
}

// HasTag implements [deploy.TagHaver].
func (s retriedSink) HasTag(ctx context.Context, d oci.Descriptor, tag string) (has bool, err error) {
	err = s.retry.Do(ctx, func() error { has, err = s.plain.HasTag(ctx, d, tag); return err })
	return has, err
}
