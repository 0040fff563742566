package inspect_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containerd/stargz-snapshotter/estargz/zstdchunked"
	"github.com/klauspost/compress/zstd"

	"github.com/bazel-contrib/rules_img/internal/inspect"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// TestLayersOfTheStargzProjectAreValid looks into layers that another program made: of one chunk for each file, of many, and with several
// files in one.
func TestLayersOfTheStargzProjectAreValid(t *testing.T) {
	plain := archive(t, "755 0 etc/", "644 0 etc/a="+strings.Repeat("content of a ", 1000), "644 0 etc/b=b", "644 0 etc/c=c", "777 0 l->etc/a", "644 0 h==etc/a")
	position := map[string]string{} // where zstd:chunked says that the index is
	chunked := struct {
		*zstdchunked.Compressor
		*zstdchunked.Decompressor
	}{&zstdchunked.Compressor{CompressionLevel: zstd.SpeedDefault, Metadata: position}, &zstdchunked.Decompressor{}}
	for name, options := range map[string][]estargz.Option{
		"one":     nil,
		"many":    {estargz.WithChunkSize(1000)},
		"several": {estargz.WithMinChunkSize(100_000)},
		"chunked": {estargz.WithCompression(chunked)},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := estargz.Build(io.NewSectionReader(bytes.NewReader(plain), 0, int64(len(plain))), options...)
			must(t, err)
			body, err := io.ReadAll(b)
			must(t, err)
			must(t, b.Close())
			s := &store{}
			d := s.Add(oci.MediaTypeLayerGzip, body)
			d.Annotations = map[string]string{}
			if name == "chunked" {
				d.MediaType, d.Annotations = oci.MediaTypeLayerZstd, position
			}
			d.Annotations[estargz.TOCJSONDigestAnnotation] = b.TOCDigest().String()
			root := image(t, s, nil, made{d, b.DiffID()})
			if l := report(t, s, root).Layers[0]; l.Read != inspect.ReadIndex {
				t.Errorf("read by %q: %s", l.Read, l.IndexError)
			}
			wantFindings(t, verdict(t, s, root))
		})
	}
}
