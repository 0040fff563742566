package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// registries opens repositories: all by one client, so that they share connections, tokens and what it learns, and all
// retried.
type registries struct {
	client *remote.Client
	retry  blob.Retry
}

// openRegistries makes the registries of one run. jobs bounds the requests to each at once; 0 is the client's choice.
func openRegistries(p process, jobs int) registries {
	return registries{client: newClient(p, remote.Options{Requests: jobs})}
}

// clientOf returns what makes the client of a run when it is first needed, with the credentials of the user.
func clientOf(p process) func() *remote.Client {
	return sync.OnceValue(func() *remote.Client { return newClient(p, remote.Options{}) })
}

func newClient(p process, o remote.Options) *remote.Client {
	o.Keychain = remote.NewKeychain(p.Getenv)
	return remote.New(o)
}

// source is a repository to read from.
type source interface {
	blob.Source
	blob.Resolver
}

func (r registries) source(ref oci.Reference) (source, error) {
	repo, err := r.client.Repository(ref)
	if err != nil {
		return nil, err
	}
	return r.retry.Source(repo).(source), nil
}

func (r registries) sink(ref oci.Reference) (deploy.Repository, error) {
	repo, err := r.client.Repository(ref)
	if err != nil {
		return nil, err
	}
	return retriedSink{r.retry.Sink(repo).(deploy.Repository), r.retry, repo}, nil
}

// retriedSink can be asked for single blobs too.
type retriedSink struct {
	deploy.Repository
	retry blob.Retry
	plain *remote.Repository
}

func (s retriedSink) Has(ctx context.Context, d oci.Descriptor) (has bool, err error) {
	err = s.retry.Do(ctx, func() error { has, err = s.plain.Has(ctx, d); return err })
	return has, err
}

// planSource has every blob of plan: in files, which are beside it, in Bazel's outputs and caches if it is lazy, or in the registries of its
// bases. What is read is verified, and counted by where it came from.
func planSource(p process, plan deploy.Plan, files deploy.Files, from registries, moved *blob.Counter) (blob.Source, error) {
	all := []blob.Named{counted(moved, "files", files)}
	if plan.Uses("lazy") {
		lazy, err := lazySources(p, plan, moved)
		if err != nil {
			return nil, fmt.Errorf("plan of %s: %w", plan.Name, err)
		}
		all = append(all, lazy...)
	}
	for _, b := range plan.Bases {
		for _, registry := range b.Registries {
			ref, err := oci.NewReference(registry, b.Repository)
			if err != nil {
				return nil, fmt.Errorf("plan of %s: base: %w", plan.Name, err)
			}
			s, err := from.source(ref)
			if err != nil {
				return nil, fmt.Errorf("plan of %s: base: %w", plan.Name, err)
			}
			all = append(all, counted(moved, ref.Name(), s))
		}
	}
	if plan.Uses("lazy") {
		return explained(p, plan, blob.Fallback(all...)), nil
	}
	return blob.Fallback(all...), nil
}

func planFiles(p process, plan deploy.Plan) (deploy.Files, error) {
	r, err := findRunfiles(p.Program, p.Getenv)
	if err != nil {
		return deploy.Files{}, fmt.Errorf("plan of %s: %w", plan.Name, err)
	}
	return deploy.NewFiles(plan, r.Path), nil
}

func counted(moved *blob.Counter, name string, s blob.Source) blob.Named {
	return blob.Named{Name: name, Source: moved.Source(name, blob.Verify(name, s))}
}
