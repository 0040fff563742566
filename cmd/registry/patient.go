package main

import (
	"context"
	"io"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

// patient is a place that is asked again when what went wrong may pass.
type patient struct{ store.Place }

// Open implements [blob.Source].
func (p patient) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return p.OpenRange(ctx, d, 0)
}

// OpenRange implements [blob.RangeOpener].
func (p patient) OpenRange(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	return blob.Retry{}.Source(p.Place).(blob.RangeOpener).OpenRange(ctx, d, offset)
}

// Missing implements [store.Place].
func (p patient) Missing(ctx context.Context, ds ...oci.Descriptor) (missing []oci.Descriptor, err error) {
	err = blob.Retry{}.Do(ctx, func() error { missing, err = p.Place.Missing(ctx, ds...); return err })
	return missing, err
}

// patientKeeper is a patient place that takes blobs.
type patientKeeper struct {
	patient
	sink blob.Sink
}

// Put implements [blob.Sink].
func (p patientKeeper) Put(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	return p.sink.Put(ctx, d, src)
}

// patientDeleter is one that can delete them, too. Collection comes again, so that this is not retried.
type patientDeleter struct {
	patientKeeper
	deleter interface {
		Delete(ctx context.Context, digest oci.Digest) error
	}
}

// Delete removes a blob.
func (p patientDeleter) Delete(ctx context.Context, digest oci.Digest) error {
	return p.deleter.Delete(ctx, digest)
}
