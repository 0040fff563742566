// Package wiring puts adapters together, in the ways that several commands need: [Registries] to copy from and to, [Keys] of a plan's blobs
// in caches.
//
// Its law: it knows no flags and no process. What a command alone needs stays with the command.
package wiring

import (
	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/cas"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Counted is a source whose bytes are verified, and counted by its name.
func Counted(moved *blob.Counter, name string, s blob.Source) blob.Named {
	return blob.Named{Name: name, Source: moved.Source(name, blob.Verify(name, s))}
}

// Keys is how the blobs of plan are named in the caches: by the digest function that the build was told of, which Bazel's must be.
func Keys(plan deploy.Plan) func(oci.Descriptor) (cas.Key, bool) {
	sums := map[oci.Digest]string{}
	for _, b := range plan.Blobs {
		if b.BLAKE3 != "" {
			sums[b.Digest] = b.BLAKE3
		}
	}
	if len(sums) == 0 {
		return cas.SHA256
	}
	return cas.BLAKE3(func(d oci.Digest) (string, bool) { s, ok := sums[d]; return s, ok })
}
