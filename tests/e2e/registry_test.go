package e2e_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// pushBase makes an index of two small images with code that is not ours and returns its digest.
func pushBase(t *testing.T, registry string) string {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range []string{"amd64", "arm64"} {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        baseImage(t, arch),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	ref, err := name.ParseReference(registry + "/base:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index); err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

func baseImage(t *testing.T, arch string) v1.Image {
	t.Helper()
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(baseTar(arch))), nil })
	if err != nil {
		t.Fatal(err)
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.ConfigFile(image, &v1.ConfigFile{OS: "linux", Architecture: arch, Config: v1.Config{Env: []string{"PATH=/bin"}}}); err != nil {
		t.Fatal(err)
	}
	if image, err = mutate.Append(image, mutate.Addendum{Layer: layer, MediaType: types.OCILayer, History: v1.History{CreatedBy: "base"}}); err != nil {
		t.Fatal(err)
	}
	return image
}

func baseTar(arch string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Name: "etc/arch", Mode: 0o644, Size: int64(len(arch))})
	io.WriteString(w, arch)
	w.Close()
	return b.Bytes()
}

// listing is what a person sees of an image's files: one line for each entry, below its layer. It checks each layer's diff ID.
func listing(t *testing.T, image v1.Image) string {
	t.Helper()
	layers, err := image.Layers()
	bazeltest.Must(t, err)
	config, err := image.ConfigFile()
	bazeltest.Must(t, err)
	var b strings.Builder
	for i, layer := range layers {
		mediaType, err := layer.MediaType()
		bazeltest.Must(t, err)
		fmt.Fprintf(&b, "layer %d, %s\n", i+1, mediaType)
		raw := uncompressed(t, layer, mediaType)
		if got, want := oci.DigestOf(raw).String(), config.RootFS.DiffIDs[i].String(); got != want {
			t.Errorf("layer %d has the diff ID %s: want the config's, %s", i+1, got, want)
		}
		list(t, &b, bytes.NewReader(raw))
	}
	return b.String()
}

func uncompressed(t *testing.T, layer v1.Layer, mediaType types.MediaType) []byte {
	t.Helper()
	compressed, err := layer.Compressed()
	bazeltest.Must(t, err)
	defer compressed.Close()
	var r io.Reader
	if mediaType == types.OCILayerZStd {
		z, err := zstd.NewReader(compressed)
		bazeltest.Must(t, err)
		defer z.Close()
		r = z
	} else {
		r, err = gzip.NewReader(compressed)
		bazeltest.Must(t, err)
	}
	raw, err := io.ReadAll(r)
	bazeltest.Must(t, err)
	return raw
}

func list(t *testing.T, to io.Writer, r io.Reader) {
	t.Helper()
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(to, "  %s %d:%d %6d %s", h.FileInfo().Mode(), h.Uid, h.Gid, h.Size, h.Name)
		switch h.Typeflag {
		case tar.TypeSymlink:
			fmt.Fprintf(to, " -> %s", h.Linkname)
		case tar.TypeLink:
			fmt.Fprintf(to, " = %s", h.Linkname)
		}
		fmt.Fprintln(to)
	}
}
