package deploy

import (
	"context"
	"fmt"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Repository is one repository of a registry.
type Repository interface {
	blob.Sink
	blob.Tagger
}

// Options are what carrying out a plan needs of the machine, and what the user said on the command line.
type Options struct {
	// Repository opens a repository to push to.
	Repository func(oci.Reference) (Repository, error)
	// Source has the bytes of every blob.
	Source blob.Source
	// Registry and RepositoryName replace the plan's, if not empty.
	Registry, RepositoryName string
	// Tags are set beside the plan's.
	Tags []string
}

// Pushed says what a push did.
type Pushed struct {
	// Reference is the image by digest.
	Reference oci.Reference
	// Tags are the tags that were set.
	Tags   []string
	Report blob.Report
}

// Push carries out one operation: the blobs that the registry lacks, the manifests, then the tags.
func Push(ctx context.Context, op Operation, o Options) (Pushed, error) {
	ref, err := op.reference(o)
	if err != nil {
		return Pushed{}, err
	}
	to, err := o.Repository(ref)
	if err != nil {
		return Pushed{}, fmt.Errorf("push %s: %w", ref.Name(), err)
	}
	ref.Digest = op.Root.Digest
	done := Pushed{Reference: ref}
	if done.Report, err = blob.Copy(ctx, to, o.Source, blob.CopyOptions{}, op.Root); err != nil {
		return done, fmt.Errorf("push %s: %w", ref.Name(), err)
	}
	for _, tag := range append(append([]string{}, op.Tags...), o.Tags...) {
		if err := to.Tag(ctx, op.Root, tag); err != nil {
			return done, fmt.Errorf("push %s: tag %s: %w", ref.Name(), tag, err)
		}
		done.Tags = append(done.Tags, tag)
	}
	return done, nil
}

// reference is where op goes. All of it is checked before the first byte is sent.
func (op Operation) reference(o Options) (oci.Reference, error) {
	registry, repository := op.Registry, op.Repository
	if o.Registry != "" {
		registry = o.Registry
	}
	if o.RepositoryName != "" {
		repository = o.RepositoryName
	}
	ref, err := oci.NewReference(registry, repository)
	if err != nil {
		return oci.Reference{}, err
	}
	for _, tag := range append(append([]string{}, op.Tags...), o.Tags...) {
		if err := oci.CheckTag(tag); err != nil {
			return oci.Reference{}, fmt.Errorf("push %s: %w", ref.Name(), err)
		}
	}
	return ref, nil
}
