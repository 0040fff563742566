package inspect_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/layer/estargz"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// relabelled is a layer whose index has another text in place of the first of one, which only the index of the file's chunks or metadata
// notices: the digests of the index are those of what it is now.
func relabelled(t testing.TB, s *store, d oci.Descriptor, old, now string) oci.Descriptor {
	t.Helper()
	b, err := blob.ReadAll(t.Context(), "test", s, d)
	must(t, err)
	toc := rewrittenTOC(t, b, d, old, now)
	if d.MediaType == oci.MediaTypeLayerZstd {
		return chunkedWith(t, s, b, d, toc)
	}
	return stargzWith(t, s, b, d, toc)
}

func rewrittenTOC(t testing.TB, b []byte, d oci.Descriptor, old, now string) []byte {
	t.Helper()
	var toc estargz.TOC
	done := false
	for e, err := range estargz.Read(d, func(offset, size int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b[offset : offset+size])), nil
	}) {
		must(t, err)
		text := string(encode(t, e))
		if !done && strings.Contains(text, old) {
			done = true
			text = strings.Replace(text, old, now, 1)
			if strings.HasSuffix(now, ":0") { // a digest that keeps its length
				at := strings.Index(text, now) + len(now)
				end := at + strings.IndexByte(text[at:], '"')
				text = text[:end-1] + text[end:]
			}
		}
		var edited estargz.Entry
		must(t, json.Unmarshal([]byte(text), &edited))
		must(t, toc.Add(edited))
	}
	if !done {
		t.Fatalf("the index has no %s", old)
	}
	return toc.Bytes()
}

func stargzWith(t testing.TB, s *store, b []byte, d oci.Descriptor, toc []byte) oci.Descriptor {
	t.Helper()
	footer := len(estargz.Footer(0))
	var at int64
	for at = int64(len(b)) - int64(footer) - 1; ; at-- { // the member with the index is the last one before the footer
		if z, err := gzip.NewReader(bytes.NewReader(b[at:])); err == nil {
			if h, err := tar.NewReader(z).Next(); err == nil && h.Name == estargz.Name {
				break
			}
		}
	}
	out := bytes.NewBuffer(bytes.Clone(b[:at]))
	z := gzip.NewWriter(out)
	w := tar.NewWriter(z)
	w.WriteHeader(&tar.Header{Name: estargz.Name, Size: int64(len(toc))})
	w.Write(toc)
	w.Close()
	z.Close()
	out.Write(estargz.Footer(at))
	edited := s.Add(d.MediaType, out.Bytes())
	edited.Annotations = map[string]string{estargz.TOCDigest: string(oci.DigestOf(toc))}
	return edited
}

func chunkedWith(t testing.TB, s *store, b []byte, d oci.Descriptor, toc []byte) oci.Descriptor {
	t.Helper()
	at := int64(bytes.LastIndex(b[:len(b)-48], []byte{0x50, 0x2a, 0x4d, 0x18}))
	end, annotations, err := estargz.Chunked(toc, at)
	must(t, err)
	edited := s.Add(d.MediaType, append(bytes.Clone(b[:at]), end...))
	annotations[estargz.TOCDigest] = string(oci.DigestOf(toc))
	edited.Annotations = annotations
	return edited
}
