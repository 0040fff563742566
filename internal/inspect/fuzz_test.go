package inspect_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"sync"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/inspect"
	"github.com/bazel-contrib/rules_img/internal/layer"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// smallArchive is made once: what a fuzz target does itself is time that it lacks.
var smallArchive = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Name: "a", Mode: 0o644, Size: 1})
	w.Write([]byte("b"))
	w.Close()
	return b.Bytes()
})

func plainLayer(s *store, plain []byte) made {
	return made{s.Add(oci.MediaTypeLayer, plain), oci.DigestOf(plain)}
}

// look does with an image all that can be done.
func look(t *testing.T, s *store, root oci.Descriptor) {
	t.Helper()
	r := &inspect.Reader{Source: s}
	if report, err := r.Inspect(t.Context(), "app", root); err == nil {
		if report.Visible < 0 || report.Visible > report.Unpacked {
			t.Errorf("%d of %d bytes are visible", report.Visible, report.Unpacked)
		}
		if _, err := json.Marshal(report); err != nil {
			t.Error(err)
		}
		inspect.Text{Bytes: plainBytes}.Report(io.Discard, report)
	}
	if v, err := r.Validate(t.Context(), "app", root); err == nil {
		inspect.Text{Bytes: plainBytes}.Verdict(io.Discard, v)
	}
	other := image(t, s, nil, plainLayer(s, smallArchive()))
	if d, err := inspect.Compare(t.Context(), r, r, "a", "b", root, other); err == nil {
		inspect.Text{Bytes: plainBytes}.Difference(io.Discard, d)
	}
}

func FuzzLayer(f *testing.F) {
	f.Add(archive(f, "644 0 a=b", "0 0 .wh.a", "777 0 c->a", "644 0 d==a", "755 0 e/", "0 0 e/.wh..wh..opq"))
	f.Add(gzipped(archive(f, "644 0 a=b")))
	f.Add([]byte("\x28\xb5\x2f\xfd\x04\x00\x01\x00\x00\x99\xe9\xd8\x51"))
	f.Fuzz(func(t *testing.T, body []byte) {
		s := &store{}
		look(t, s, image(t, s, nil, plainLayer(s, body)))
	})
}

// FuzzLazyLayer has the annotations of a good layer, and another index.
func FuzzLazyLayer(f *testing.F) {
	s := &store{}
	for _, format := range []layer.Format{layer.Gzip, layer.Zstd} {
		l := lazyLayer(f, s, format, map[string]string{"a": "b"})
		r, err := s.Open(f.Context(), l.descriptor)
		must(f, err)
		b, err := io.ReadAll(r)
		must(f, err)
		f.Add(b, string(encode(f, l.descriptor.Annotations)))
	}
	f.Fuzz(func(t *testing.T, body []byte, annotations string) {
		s := &store{}
		d := s.Add(oci.MediaTypeLayerGzip, body)
		if json.Unmarshal([]byte(annotations), &d.Annotations) != nil {
			return
		}
		look(t, s, image(t, s, nil, made{d, oci.DigestOf(body)}))
	})
}

func FuzzManifest(f *testing.F) {
	s := &store{}
	l := plainLayer(s, smallArchive())
	f.Add([]byte(`{"schemaVersion":2,"config":{},"layers":[]}`), []byte(`{}`))
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"`+oci.MediaTypeManifest+`","digest":"sha256:x","size":-1}]}`), []byte(`{"config":{"Env":["A=B"]},"history":[{}]}`))
	f.Add(encode(f, oci.Manifest{MediaType: oci.MediaTypeManifest, Layers: []oci.Descriptor{l.descriptor}}), []byte(`{"rootfs":{"diff_ids":["x"]}}`))
	f.Fuzz(func(t *testing.T, document, config []byte) {
		s := &store{}
		plainLayer(s, smallArchive())
		look(t, s, s.Add(oci.MediaTypeManifest, document))
		look(t, s, s.Add(oci.MediaTypeIndex, document))
		look(t, s, image(t, s, func(_ map[string]any, m *oci.Manifest) { m.Config = s.Add(oci.MediaTypeConfig, config) }))
	})
}
