package guides_test

import (
	"archive/tar"
	"bytes"
	"io"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// pushBase puts what stands for Debian's image into the registry, and returns its digest.
func pushBase(t *testing.T, registry string) string {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range []string{"linux/amd64", "linux/arm64", "linux/arm/v7"} {
		p, err := v1.ParsePlatform(arch)
		bazeltest.Must(t, err)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: baseFor(t, p), Descriptor: v1.Descriptor{Platform: p}})
	}
	ref, err := name.ParseReference(registry + "/library/debian:bookworm-slim")
	bazeltest.Must(t, err)
	bazeltest.Must(t, remote.WriteIndex(ref, index))
	digest, err := index.Digest()
	bazeltest.Must(t, err)
	return digest.String()
}

func baseFor(t *testing.T, p *v1.Platform) v1.Image {
	t.Helper()
	i := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	i, err := mutate.ConfigFile(i, &v1.ConfigFile{
		OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin"}, Cmd: []string{"bash"}},
	})
	bazeltest.Must(t, err)
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(etc(p.String()))), nil })
	bazeltest.Must(t, err)
	i, err = mutate.Append(i, mutate.Addendum{Layer: layer, MediaType: types.OCILayer})
	bazeltest.Must(t, err)
	return i
}

// etc is an archive with one file.
func etc(text string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Name: "etc/debian_version", Mode: 0o644, Size: int64(len(text))})
	io.WriteString(w, text)
	w.Close()
	return b.Bytes()
}
