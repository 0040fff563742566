package inspect_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/inspect"
	"github.com/bazel-contrib/rules_img/internal/layer"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

func verdict(t testing.TB, s blob.Source, root oci.Descriptor) *inspect.Verdict {
	t.Helper()
	v, err := (&inspect.Reader{Source: s}).Validate(t.Context(), "app", root)
	must(t, err)
	return v
}

// wantFindings wants just those that begin so, in any order, each as "severity: message".
func wantFindings(t *testing.T, v *inspect.Verdict, want ...string) {
	t.Helper()
	valid := true
	rest := slices.Clone(want)
	for _, f := range v.Findings {
		valid = valid && f.Severity != inspect.SeverityError
		got := f.Severity + ": " + f.Message
		i := slices.IndexFunc(rest, func(w string) bool { return strings.Contains(got, w) })
		if i < 0 {
			t.Errorf("not expected: %s", got)
			continue
		}
		rest = slices.Delete(rest, i, i+1)
	}
	for _, w := range rest {
		t.Errorf("not found: %s", w)
	}
	if v.Valid != valid {
		t.Errorf("valid is %v", v.Valid)
	}
}

func TestSoundImagesAreValid(t *testing.T) {
	s := &store{}
	plain := archive(t, "644 0 a=b")
	lazy := map[string]string{"dir/a": "a", "dir/same": "a", "b": strings.Repeat("long", 1_000_000), "empty": ""}
	root := index(t, s, map[string]oci.Descriptor{"linux/amd64": image(t, s, nil, gzipLayer(s, plain), made{s.Add(oci.MediaTypeLayer, plain), oci.DigestOf(plain)},
		lazyLayer(t, s, layer.Gzip, lazy), lazyLayer(t, s, layer.Zstd, lazy))})
	v := verdict(t, s, root)
	wantFindings(t, v)
	if v.Blobs != 7 {
		t.Errorf("%d blobs were read; want 7", v.Blobs)
	}
	var text strings.Builder
	must(t, inspect.Text{Bytes: plainBytes}.Verdict(&text, v))
	if !strings.HasPrefix(text.String(), "app: valid (7 blobs, ") {
		t.Errorf("text is %s", text.String())
	}
}

func TestWhatIsWrongIsFound(t *testing.T) {
	other := oci.DigestOf([]byte("other"))
	for name, row := range map[string]struct {
		make func(*store) oci.Descriptor
		want []string
	}{
		"a layer that is not there": {func(s *store) oci.Descriptor {
			return image(t, s, nil, made{oci.Descriptor{MediaType: oci.MediaTypeLayerGzip, Digest: other, Size: 5}, other})
		}, []string{"error: memory: blob " + string(other) + ": not found"}},
		"a layer of another size": {func(s *store) oci.Descriptor {
			l := gzipLayer(s, archive(t))
			l.descriptor.Size++
			return image(t, s, nil, l)
		}, []string{"error: image: blob"}},
		"a layer of another diff ID": {func(s *store) oci.Descriptor {
			return image(t, s, nil, made{gzipLayer(s, archive(t)).descriptor, other})
		}, []string{"error: has the diff ID"}},
		"a layer of another compression": {func(s *store) oci.Descriptor {
			l := gzipLayer(s, archive(t))
			l.descriptor.MediaType = oci.MediaTypeLayerZstd
			return image(t, s, nil, l)
		}, []string{"error: has the media type application/vnd.oci.image.layer.v1.tar+zstd, and is gzip"}},
		"a layer that is no archive": {func(s *store) oci.Descriptor {
			return image(t, s, nil, gzipLayer(s, bytes.Repeat([]byte("x"), 1024)))
		}, []string{"error: is no tar archive"}},
		"a layer with rubbish behind it": {func(s *store) oci.Descriptor {
			plain := archive(t)
			return image(t, s, nil, made{s.Add(oci.MediaTypeLayerGzip, append(gzipped(plain), "rubbish"...)), oci.DigestOf(plain)})
		}, []string{"error: behind the archive's end: unexpected EOF"}},
		"a layer of Docker's type": {func(s *store) oci.Descriptor {
			l := gzipLayer(s, archive(t))
			l.descriptor.MediaType = oci.MediaTypeDockerLayerGzip
			return image(t, s, nil, l)
		}, []string{"warning: mixes types of Docker and OCI: layers[0] is"}},
		"a layer elsewhere": {func(s *store) oci.Descriptor {
			l := gzipLayer(s, archive(t))
			l.descriptor.URLs = []string{"https://example.com"}
			return image(t, s, nil, l)
		}, []string{"warning: is elsewhere"}},
		"a config that says little": {func(s *store) oci.Descriptor {
			return image(t, s, func(config map[string]any, _ *oci.Manifest) {
				delete(config, "os")
				config["rootfs"], config["created"], config["history"] = map[string]any{}, "yesterday", []any{map[string]any{}, map[string]any{}}
			}, gzipLayer(s, archive(t)))
		}, []string{"error: config: lacks os", `error: config: rootfs.type is ""`, "error: config: created is", "error: config: has 0 diff IDs, and the manifest 1", "warning: config: its history tells of 2 layers"}},
		"a manifest without layers": {func(s *store) oci.Descriptor {
			return s.Add(oci.MediaTypeManifest, []byte(`{"schemaVersion":1}`))
		}, []string{"error: schemaVersion is 1", "error: lacks config or layers", "warning: has no mediaType"}},
		"a manifest of odd types": {func(s *store) oci.Descriptor {
			return image(t, s, func(_ map[string]any, m *oci.Manifest) {
				m.Config, m.ArtifactType = s.Add(oci.MediaTypeEmpty, []byte("{}")), "no type"
				m.Subject = &oci.Descriptor{MediaType: "x", Digest: "sha256:1", Size: 1}
			})
		}, []string{"error: subject: mediaType", "error: subject: digest", `error: artifactType "no type"`, "warning: has no layers"}},
		"a manifest of nothing": {func(s *store) oci.Descriptor {
			return image(t, s, func(_ map[string]any, m *oci.Manifest) { m.Config = s.Add(oci.MediaTypeEmpty, []byte("{}")) })
		}, []string{"error: has an empty config and no artifactType", "warning: has no layers"}},
		"data that are others": {func(s *store) oci.Descriptor {
			l := gzipLayer(s, archive(t))
			l.descriptor.Data = []byte("x")
			return image(t, s, nil, l)
		}, []string{"error: layers[0]: data is not"}},
		"an index that says otherwise": {func(s *store) oci.Descriptor {
			return index(t, s, map[string]oci.Descriptor{"linux/arm64": image(t, s, nil, gzipLayer(s, archive(t)))})
		}, []string{"error: the index says that it is for linux/arm64/v8, and its config that it is for linux/amd64"}},
		"an index of nothing": {func(s *store) oci.Descriptor {
			return s.Add(oci.MediaTypeIndex, []byte(`{"schemaVersion":2,"mediaType":"`+oci.MediaTypeIndex+`"}`))
		}, []string{"error: has no manifests"}},
		"no JSON": {func(s *store) oci.Descriptor { return s.Add(oci.MediaTypeIndex, []byte(`{`)) }, []string{"error: manifest sha256:"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &store{}
			wantFindings(t, verdict(t, s, row.make(s)), row.want...)
		})
	}
}

func gzipped(plain []byte) []byte {
	s := &store{}
	r, err := s.Open(context.Background(), gzipLayer(s, plain).descriptor)
	if err != nil {
		panic(err)
	}
	b, _ := io.ReadAll(r)
	return b
}

// TestAnIndexOfALayerThatLiesIsFound damages indexes in each way, and gives them the digest that they then have.
func TestAnIndexOfALayerThatLiesIsFound(t *testing.T) {
	for _, format := range []layer.Format{layer.Gzip, layer.Zstd} {
		for want, lie := range map[string][2]string{
			"says otherwise of /a than the layer: mode": {`"mode":420`, `"mode":493`},
			"lacks /b":                        {`"name":"b"`, `"name":"c"`},
			"has /c, which the layer has not": {`"name":"b"`, `"name":"c"`},
			"the chunk at ":                   {`"chunkDigest":"sha256:`, `"chunkDigest":"sha256:0`},
			"says otherwise of /a than the layer: content": {`"digest":"sha256:`, `"digest":"sha256:0`},
		} {
			s := &store{}
			lazy := lazyLayer(t, s, format, map[string]string{"a": "content of a", "b": "content of b"})
			d := relabelled(t, s, lazy.descriptor, lie[0], lie[1])
			v := verdict(t, s, image(t, s, nil, made{d, lazy.diffID}))
			if v.Valid || !slices.ContainsFunc(v.Findings, func(f inspect.Finding) bool { return strings.Contains(f.Message, "index: "+want) }) {
				t.Errorf("%s: %q was not found, but %v", format, want, v.Findings)
			}
		}
	}
}

func TestWhatMayBeOverTomorrowIsNoFinding(t *testing.T) {
	s := &store{}
	root := image(t, s, nil, gzipLayer(s, archive(t)))
	broken := blob.SourceFunc(func(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
		if d.MediaType == oci.MediaTypeLayerGzip {
			return nil, io.ErrUnexpectedEOF
		}
		return s.Open(ctx, d)
	})
	if v, err := (&inspect.Reader{Source: broken}).Validate(t.Context(), "app", root); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%+v, %v", v, err)
	}
}
