package main

import (
	"context"
	"flag"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/pull"
)

// originFlags say where to pull from.
type originFlags struct {
	registries []string
	repository string
}

func (f *originFlags) add(flags *flag.FlagSet) {
	flags.Func("registry", "`host[:port]` to pull from; may be repeated, and is tried in order; none is Docker Hub", func(s string) error {
		f.registries = append(f.registries, s)
		return nil
	})
	flags.StringVar(&f.repository, "repository", "", "`repository` in the registry")
}

// references are the repositories, in the order to ask them.
func (f originFlags) references() ([]oci.Reference, error) {
	registries := f.registries
	if len(registries) == 0 {
		registries = []string{""}
	}
	var refs []oci.Reference
	for _, registry := range registries {
		ref, err := oci.NewReference(registry, f.repository)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	return refs, nil
}

func (f originFlags) origins(p process) ([]pull.Origin, error) {
	refs, err := f.references()
	if err != nil {
		return nil, err
	}
	client := clientOf(p)
	var from []pull.Origin
	for _, ref := range refs {
		r, err := client().Repository(ref)
		if err != nil {
			return nil, err
		}
		from = append(from, pull.Origin{Name: ref.Name(), Repository: origin{blob.Retry{}.Source(r), r}})
	}
	return from, nil
}

// origin is a repository whose every question is retried.
type origin struct {
	blob.Source
	repository *remote.Repository
}

func (o origin) Resolve(ctx context.Context, reference string) (oci.Descriptor, error) {
	return o.Source.(blob.Resolver).Resolve(ctx, reference)
}

func (o origin) Describe(ctx context.Context, digest oci.Digest) (d oci.Descriptor, err error) {
	err = blob.Retry{}.Do(ctx, func() error { d, err = o.repository.Describe(ctx, digest); return err })
	return d, err
}
