// Package oci is the vocabulary that every other package shares: digests, descriptors, media types,
// platforms and references of the OCI image, distribution and index specifications (v1.1).
//
// Its entry points are [Children], which says what a manifest refers to, and [Choose], which picks from an
// index. The law: this package depends on the standard library and the OCI Go types alone, and reads no
// file, no network and no environment.
package oci

import (
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// The OCI types that travel through the whole program. They are aliases, so that a value read by a
// library that uses the same types needs no conversion.
type (
	// Digest names bytes: "sha256:" and 64 hexadecimal digits.
	Digest = digest.Digest
	// Descriptor names a blob by digest, size and media type. It is the one currency of this program.
	Descriptor = v1.Descriptor
	// Platform is what an image runs on.
	Platform = v1.Platform
	// Manifest is an image manifest: one config, many layers.
	Manifest = v1.Manifest
	// Index is an image index: many manifests.
	Index = v1.Index
	// Versioned is the schemaVersion that manifests and indexes embed.
	Versioned = specs.Versioned
)
