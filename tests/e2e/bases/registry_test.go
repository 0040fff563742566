package bases_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// image is one image that was made by code that is not ours.
type image struct {
	digest string
	layers []string // digests
	v1.Image
}

// makeImage makes an image for "os/arch[/variant][:os.version]" of layers that hold the given texts.
func makeImage(t *testing.T, platform string, layers ...string) image {
	t.Helper()
	p, err := v1.ParsePlatform(platform)
	bazeltest.Must(t, err)
	i := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	i, err = mutate.ConfigFile(i, &v1.ConfigFile{
		OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, OSVersion: p.OSVersion, RootFS: v1.RootFS{Type: "layers"}, Config: v1.Config{Env: []string{"PATH=/bin"}},
	})
	bazeltest.Must(t, err)
	made := image{}
	for _, text := range layers {
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(oneFile(text))), nil })
		bazeltest.Must(t, err)
		i, err = mutate.Append(i, mutate.Addendum{Layer: layer, MediaType: types.OCILayer, History: v1.History{CreatedBy: "base"}})
		bazeltest.Must(t, err)
		digest, err := layer.Digest()
		bazeltest.Must(t, err)
		made.layers = append(made.layers, digest.String())
	}
	digest, err := i.Digest()
	bazeltest.Must(t, err)
	made.Image, made.digest = i, digest.String()
	return made
}

// asDockers is an image as Docker pushes it, with media types of its own.
func asDockers(t *testing.T, platform string, layers ...string) v1.ImageIndex {
	t.Helper()
	made := makeImage(t, platform)
	i := mutate.ConfigMediaType(mutate.MediaType(made.Image, types.DockerManifestSchema2), types.DockerConfigJSON)
	for _, text := range layers {
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(oneFile(text))), nil })
		bazeltest.Must(t, err)
		i, err = mutate.Append(i, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "docker"}})
		bazeltest.Must(t, err)
	}
	p, err := v1.ParsePlatform(platform)
	bazeltest.Must(t, err)
	list := mutate.IndexMediaType(empty.Index, types.DockerManifestList)
	return mutate.AppendManifests(list, mutate.IndexAddendum{Add: i, Descriptor: v1.Descriptor{Platform: p}})
}

func oneFile(text string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Name: "etc/base", Mode: 0o644, Size: int64(len(text))})
	io.WriteString(w, text)
	w.Close()
	return b.Bytes()
}

// fresh makes a text that no cache has seen.
func fresh(text string) string { return fmt.Sprint(text, " ", time.Now().UnixNano()) }

func makeIndex(t *testing.T, images map[string]image) v1.ImageIndex {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for platform, i := range images {
		p, err := v1.ParsePlatform(platform)
		bazeltest.Must(t, err)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: i, Descriptor: v1.Descriptor{Platform: p}})
	}
	return index
}

// push puts an image or index into a repository, as the tag "1", and returns its digest.
func push(t *testing.T, registry, repository string, what interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	ref, err := name.ParseReference(registry + "/" + repository + ":1")
	bazeltest.Must(t, err)
	switch what := what.(type) {
	case image:
		bazeltest.Must(t, remote.Write(ref, what.Image))
	case v1.ImageIndex:
		bazeltest.Must(t, remote.WriteIndex(ref, what))
	}
	digest, err := what.Digest()
	bazeltest.Must(t, err)
	return digest.String()
}

// putManifest puts a manifest as it is, by its digest alone.
func putManifest(t *testing.T, registry, repository, mediaType string, body any) string {
	t.Helper()
	b, err := json.Marshal(body)
	bazeltest.Must(t, err)
	digest, _, err := v1.SHA256(bytes.NewReader(b))
	bazeltest.Must(t, err)
	url := fmt.Sprintf("http://%s/v2/%s/manifests/%s", registry, repository, digest)
	req, err := http.NewRequest(http.MethodPut, url, bytes.NewReader(b))
	bazeltest.Must(t, err)
	req.Header.Set("Content-Type", mediaType)
	resp, err := http.DefaultClient.Do(req)
	bazeltest.Must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		said, _ := io.ReadAll(resp.Body)
		t.Fatalf("PUT %s: %s\n%s", url, resp.Status, said)
	}
	return digest.String()
}
