package estargz

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

var someEntries = []Entry{
	{Type: "dir", Name: "etc/", Mode: 0o755},
	{Type: "reg", Name: "etc/a", Size: 3, Digest: oci.DigestOf([]byte("abc")), Chunk: Chunk{Offset: 7}},
	{Type: "chunk", Name: "etc/a", Chunk: Chunk{Offset: 9, ChunkOffset: 2}},
}

func tocOf(t testing.TB) []byte {
	t.Helper()
	var toc TOC
	for _, e := range someEntries {
		if err := toc.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	return toc.Bytes()
}

// stargz is the end of an eStargz layer, behind a hundred other bytes.
func stargz(t testing.TB) ([]byte, map[string]string) {
	t.Helper()
	toc := tocOf(t)
	b := bytes.NewBuffer(bytes.Repeat([]byte("x"), 100))
	z := gzip.NewWriter(b)
	w := tar.NewWriter(z)
	w.WriteHeader(&tar.Header{Name: Name, Size: int64(len(toc))})
	w.Write(toc)
	w.Close()
	z.Close()
	b.Write(Footer(100))
	return b.Bytes(), map[string]string{TOCDigest: string(oci.DigestOf(toc))}
}

func chunked(t testing.TB) ([]byte, map[string]string) {
	t.Helper()
	toc := tocOf(t)
	b, annotations, err := Chunked(toc, 100)
	if err != nil {
		t.Fatal(err)
	}
	annotations[TOCDigest] = string(oci.DigestOf(toc))
	return append(bytes.Repeat([]byte("x"), 100), b...), annotations
}

// readAll reads the index of b, and says how many bytes that took.
func readAll(b []byte, annotations map[string]string) (all []Entry, moved int64, err error) {
	d := oci.Describe(oci.MediaTypeLayer, b)
	d.Annotations = annotations
	for e, err := range Read(d, func(offset, size int64) (io.ReadCloser, error) {
		moved += size
		return io.NopCloser(io.NewSectionReader(bytes.NewReader(b), offset, size)), nil
	}) {
		if err != nil {
			return all, moved, err
		}
		all = append(all, e)
	}
	return all, moved, nil
}

func TestAnIndexIsReadAlone(t *testing.T) {
	for name, make := range map[string]func(testing.TB) ([]byte, map[string]string){"eStargz": stargz, "zstd:chunked": chunked} {
		b, annotations := make(t)
		if !Indexed(oci.Descriptor{Annotations: annotations}) || Indexed(oci.Descriptor{}) {
			t.Errorf("%s: Indexed does not see it", name)
		}
		got, moved, err := readAll(b, annotations)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff(someEntries, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		if rest := int64(len(b)) - 100; moved > rest {
			t.Errorf("%s: %d bytes were read; the index and its footer have %d", name, moved, rest)
		}
	}
}

func TestAnIndexThatIsNotThePromisedOneIsAnError(t *testing.T) {
	other := string(oci.DigestOf([]byte("other")))
	for want, row := range map[string]struct {
		make func(testing.TB) ([]byte, map[string]string)
		set  map[string]string
	}{
		"the annotation " + TOCDigest + " says " + other:        {stargz, map[string]string{TOCDigest: other}},
		"the annotation " + manifestChecksum + " says " + other: {chunked, map[string]string{manifestChecksum: other}},
		"want four numbers":                {chunked, map[string]string{manifestPosition: "1:2:3"}},
		`"-1" is no such number`:           {chunked, map[string]string{manifestPosition: "-1:2:3:1"}},
		"the type 2 is not known":          {chunked, map[string]string{manifestPosition: "1:2:3:2"}},
		"not within the":                   {chunked, map[string]string{manifestPosition: "1:20000:3:1"}},
		"ends without the footer":          {chunked, map[string]string{manifestPosition: "", stargzManifestPosition: ""}},
		"9223372036854775807 are not with": {chunked, map[string]string{manifestPosition: "9223372036854775807:9223372036854775807:3:1"}},
	} {
		b, annotations := row.make(t)
		maps.Copy(annotations, row.set)
		if _, _, err := readAll(b, annotations); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v; want %q", err, want)
		}
	}
}

func TestAnIndexThatIsNoneIsAnError(t *testing.T) {
	for _, toc := range []string{"", "{", "[]", `{"entries":{}}`, `{"entries":[{]}`, `{"entries":[{"size":"x"}]}`, `{"entries":[]`, `{"a":1,"entries":[{"type":"reg"}`} {
		b, annotations, err := Chunked([]byte(toc), 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := readAll(b, annotations); err == nil {
			t.Errorf("%q was taken", toc)
		}
	}
}

func FuzzRead(f *testing.F) {
	b, annotations := stargz(f)
	f.Add(b, annotations[TOCDigest], "")
	b, annotations = chunked(f)
	f.Add(b, annotations[TOCDigest], annotations[manifestPosition])
	f.Fuzz(func(t *testing.T, b []byte, digest, position string) {
		all, _, err := readAll(b, map[string]string{TOCDigest: digest, manifestPosition: position})
		if err == nil && digest != "" && !strings.HasPrefix(digest, "sha256:") {
			t.Errorf("%d entries were read in spite of the digest %q", len(all), digest)
		}
		readAll(b, map[string]string{manifestPosition: position})
	})
}

// FuzzIndex decodes what is an index by every checksum.
func FuzzIndex(f *testing.F) {
	f.Add(tocOf(f))
	f.Add([]byte(`{"version":1,"entries":[{"xattrs":{"a":"YQ=="}}],"more":[[]]}`))
	f.Fuzz(func(t *testing.T, toc []byte) {
		n := 0
		err := entries(bytes.NewReader(toc), func(Entry) bool { n++; return true })
		if err != nil && fmt.Sprint(err) == "" {
			t.Error("an error without words")
		}
	})
}
