// Package pull copies images, or single blobs, out of the first of several registries that delivers them.
//
// The entry points are [Image] and [Blobs]. The law: the registries are asked in their order, the next one only for what those
// before it did not deliver, and what a registry delivers is verified before anybody sees it. When none delivers, one error says what
// each of them said.
package pull

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Repository is one repository of a registry.
type Repository interface {
	blob.Source
	blob.Resolver
	// Describe returns the descriptor of a blob that only its digest is known of. The type is not known to a registry.
	Describe(ctx context.Context, digest oci.Digest) (oci.Descriptor, error)
}

// Origin is a place to pull from.
type Origin struct {
	// Name is registry and repository.
	Name string
	Repository
}

// patience is how long a registry may send nothing, if there is another one to ask.
const patience = 30 * time.Second

// Image copies the manifest or index with a tag or digest, and what is below it without the layers, and returns its descriptor. What an
// index says about no platform, as attestations, is left out.
func Image(ctx context.Context, to blob.Sink, from []Origin, reference string) (root oci.Descriptor, err error) {
	err = first(ctx, from, reference, func(ctx context.Context, o Origin, wait time.Duration) error {
		if root, err = o.resolve(ctx, reference, wait); err != nil {
			return err
		}
		_, err = blob.Copy(ctx, to, blob.Verify(o.Name, patient(o, wait)), blob.CopyOptions{Shallow: true, Leave: isAttestation}, root)
		return err
	})
	return root, err
}

// Blobs copies blobs that are no manifests. The size of each is asked for when it is 0.
func Blobs(ctx context.Context, to blob.Sink, from []Origin, blobs ...oci.Descriptor) error {
	what := fmt.Sprintf("%d blobs", len(blobs))
	if len(blobs) == 1 {
		what = string(blobs[0].Digest)
	}
	return first(ctx, from, what, func(ctx context.Context, o Origin, wait time.Duration) error {
		sized, err := o.sized(ctx, blobs, wait)
		if err != nil {
			return err
		}
		_, err = blob.Copy(ctx, to, blob.Verify(o.Name, patient(o, wait)), blob.CopyOptions{}, sized...)
		return err
	})
}

// isAttestation recognises the manifests that builders put beside those of an image.
func isAttestation(d oci.Descriptor) bool {
	return d.Platform != nil && d.Platform.OS == "unknown" && d.Platform.Architecture == "unknown"
}

// first does what it is given with one origin after the other until it succeeds.
func first(ctx context.Context, from []Origin, what string, do func(context.Context, Origin, time.Duration) error) error {
	failed := &originsError{what: what}
	for i, o := range from {
		wait := patience
		if i == len(from)-1 {
			wait = 0
		}
		err := do(ctx, o, wait)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failed.names, failed.errs = append(failed.names, o.Name), append(failed.errs, err)
	}
	return failed
}

func (o Origin) resolve(ctx context.Context, reference string, wait time.Duration) (oci.Descriptor, error) {
	ctx, stop := within(ctx, wait)
	defer stop()
	d, err := o.Resolve(ctx, reference)
	return d, impatient(ctx, err)
}

func (o Origin) sized(ctx context.Context, blobs []oci.Descriptor, wait time.Duration) ([]oci.Descriptor, error) {
	ctx, stop := within(ctx, wait)
	defer stop()
	sized := append([]oci.Descriptor{}, blobs...)
	for i, d := range sized {
		if d.Size > 0 {
			continue
		}
		described, err := o.Describe(ctx, d.Digest)
		if err != nil {
			return nil, impatient(ctx, err)
		}
		sized[i].Size = described.Size
	}
	return sized, nil
}

var errTooLong = fmt.Errorf("no answer within %v", patience)

// within bounds ctx; no bound is 0.
func within(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc) {
	if wait == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, wait, errTooLong)
}

// impatient says of an error that ended the waiting that it did.
func impatient(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errTooLong) {
		return errTooLong
	}
	return err
}

// originsError is what each origin said.
type originsError struct {
	what  string
	names []string
	errs  []error
}

func (e *originsError) Error() string {
	if len(e.errs) == 1 {
		return fmt.Sprintf("pull %s: %s", e.what, e.said(0))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "pull %s: none of %d registries delivered it:", e.what, len(e.errs))
	for i := range e.errs {
		b.WriteString("\n  " + e.said(i))
	}
	return b.String()
}

// said is the error of one origin, with its name if the error leaves it out.
func (e *originsError) said(i int) string {
	text := e.errs[i].Error()
	if strings.Contains(text, e.names[i]) {
		return text
	}
	return e.names[i] + ": " + text
}

// Unwrap returns what each origin said.
func (e *originsError) Unwrap() []error { return e.errs }
