package blobtest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Bytes returns n bytes that do not compress and depend on seed alone.
func Bytes(seed string, n int) []byte {
	var key [32]byte
	copy(key[:], seed)
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

// Describe returns the descriptor of body as a layer.
func Describe(body []byte) oci.Descriptor { return oci.Describe(oci.MediaTypeLayerGzip, body) }

// Content is a source that has body under every descriptor.
func Content(body []byte) blob.Source {
	return blob.SourceFunc(func(context.Context, oci.Descriptor) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(body)), nil
	})
}

// Image puts an image with the given layers into sink, and a config that says so, and returns its descriptor.
func Image(t testing.TB, sink blob.Sink, p oci.Platform, layers ...[]byte) oci.Descriptor {
	t.Helper()
	m := oci.Manifest{Versioned: oci.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeManifest, Layers: []oci.Descriptor{}}
	diffIDs := []oci.Digest{}
	for _, body := range layers {
		m.Layers = append(m.Layers, add(t, sink, oci.MediaTypeLayerGzip, body))
		diffIDs = append(diffIDs, oci.DigestOf(body))
	}
	rootfs := map[string]any{"type": "layers", "diff_ids": diffIDs}
	config := map[string]any{"os": p.OS, "architecture": p.Architecture, "rootfs": rootfs}
	m.Config = add(t, sink, oci.MediaTypeConfig, encode(t, config))
	d := add(t, sink, oci.MediaTypeManifest, encode(t, m))
	d.Platform = &p
	return d
}

// Index puts an index of manifests into sink and returns its descriptor.
func Index(t testing.TB, sink blob.Sink, manifests ...oci.Descriptor) oci.Descriptor {
	t.Helper()
	index := oci.Index{Versioned: oci.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeIndex, Manifests: manifests}
	return add(t, sink, oci.MediaTypeIndex, encode(t, index))
}

func add(t testing.TB, sink blob.Sink, mediaType string, body []byte) oci.Descriptor {
	t.Helper()
	d := oci.Describe(mediaType, body)
	if err := sink.Put(t.Context(), d, Content(body)); err != nil {
		t.Fatal(err)
	}
	return d
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
