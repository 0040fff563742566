package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containerd/stargz-snapshotter/estargz/zstdchunked"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/bazel-contrib/rules_img/internal/layer/framecache"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

func everyLazyOption() map[string]Options {
	return map[string]Options{
		"estargz 1": {Format: Gzip, Level: 1, Estargz: true}, "estargz 9": {Format: Gzip, Level: 9, Estargz: true},
		"zstd:chunked 1": {Format: Zstd, Level: 1, Estargz: true}, "zstd:chunked 4": {Format: Zstd, Level: 4, Estargz: true},
	}
}

// lazyCorpus is the corpus with what else layers have.
func lazyCorpus(t testing.TB) []Entry {
	t.Helper()
	c := corpus(t)
	c.Default.PAXRecords = map[string]string{"SCHILY.xattr.user.x": "y"}
	c.Default.Uname, c.Default.Mtime = ptr("somebody"), ptr("2024-01-31T12:00:00Z")
	entries, err := c.Entries(t.Context())
	must(t, err)
	// In the index, an entry without the name of its owner has that of the entry before it with the same ID.
	m := &Metadata{Mode: 0o600, Uname: "somebody"}
	entries, err = Arrange(t.Context(), append(entries,
		Entry{Path: "dev/null", Kind: CharDevice, Major: 1, Minor: 3, Metadata: m}, Entry{Path: "dev/sda", Kind: BlockDevice, Major: 8, Metadata: m},
		Entry{Path: "run/pipe", Kind: Pipe, Metadata: m},
	))
	must(t, err)
	return entries
}

func writeEntriesTo(t testing.TB, entries []Entry, o Options) ([]byte, Result) {
	t.Helper()
	var b bytes.Buffer
	result, err := Write(context.Background(), &b, entries, o)
	must(t, err)
	return b.Bytes(), result
}

// TestTheStargzProjectReadsLazyLayers opens layers with the library of the stargz-snapshotter, verifies the index and every chunk, and
// compares every file with what the archive holds.
func TestTheStargzProjectReadsLazyLayers(t *testing.T) {
	entries := lazyCorpus(t)
	for name, o := range everyLazyOption() {
		t.Run(name, func(t *testing.T) {
			b, result := writeEntriesTo(t, entries, o)
			r, err := estargz.Open(io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))), estargz.WithDecompressors(new(zstdchunked.Decompressor)))
			must(t, err)
			verifier, err := r.VerifyTOC(digest.Digest(result.Annotations[estargz.TOCJSONDigestAnnotation]))
			must(t, err)
			files := 0
			archive := tar.NewReader(bytes.NewReader(decompressAll(t, o.Format, b)))
			for {
				h, err := archive.Next()
				if err == io.EOF {
					break
				}
				must(t, err)
				if h.Name == estargz.TOCTarName {
					continue
				}
				content, err := io.ReadAll(archive)
				must(t, err)
				checkLazyEntry(t, r, verifier, h, content)
				files++
			}
			if files != len(entries) {
				t.Errorf("the archive has %d entries of %d", files, len(entries))
			}
		})
	}
}

func checkLazyEntry(t *testing.T, r *estargz.Reader, verifier estargz.TOCEntryVerifier, h *tar.Header, content []byte) {
	t.Helper()
	e, ok := r.Lookup(h.Name)
	if !ok {
		t.Fatalf("%s is not in the index", h.Name)
	}
	if h.Typeflag == tar.TypeLink {
		if target, _ := r.Lookup(h.Linkname); target != e {
			t.Errorf("%s is no link to %s", h.Name, h.Linkname)
		}
		return
	}
	want := fmt.Sprint(h.FileInfo().Mode(), h.Uid, h.Gid, h.Uname, h.ModTime.Unix(), h.Devmajor, h.Devminor, h.PAXRecords["SCHILY.xattr.user.x"])
	if got := fmt.Sprint(e.Stat().Mode(), e.UID, e.GID, e.Uname, max(0, e.ModTime().Unix()), e.DevMajor, e.DevMinor, string(e.Xattrs["user.x"])); got != want {
		t.Errorf("%s is %s: want %s", h.Name, got, want)
	}
	if h.Typeflag != tar.TypeReg {
		return
	}
	if want := string(digest.FromBytes(content)); e.Digest != want {
		t.Errorf("%s has the digest %s: want %s", h.Name, e.Digest, want)
	}
	f, err := r.OpenFile(h.Name)
	must(t, err)
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%s: its content is another: %v", h.Name, err)
	}
	for at := int64(0); at < int64(len(content)); {
		chunk, ok := r.ChunkEntryForOffset(h.Name, at)
		if !ok {
			t.Fatalf("%s has no chunk for byte %d", h.Name, at)
		}
		v, err := verifier.Verifier(chunk)
		must(t, err)
		v.Write(content[at : at+chunk.ChunkSize])
		if !v.Verified() {
			t.Errorf("%s: the chunk at %d is not verified", h.Name, at)
		}
		at += chunk.ChunkSize
	}
}

// decompressAll reads every member of a gzip file.
func decompressAll(t testing.TB, f Format, b []byte) []byte {
	t.Helper()
	if f == Zstd {
		return decompress(t, f, b)
	}
	r, err := (&estargz.GzipDecompressor{}).Reader(bytes.NewReader(b))
	must(t, err)
	raw, err := io.ReadAll(r)
	must(t, err)
	return raw
}

func TestLazyLayersAreLayers(t *testing.T) {
	entries := lazyCorpus(t)
	for name, o := range everyLazyOption() {
		b, result := writeEntriesTo(t, entries, o)
		raw := decompressAll(t, o.Format, b)
		if result.Digest != oci.DigestOf(b) || result.DiffID != oci.DigestOf(raw) || result.Size != int64(len(b)) {
			t.Errorf("%s: result is %+v", name, result)
		}
		if got, want := result.Annotations["io.containers.estargz.uncompressed-size"], fmt.Sprint(len(raw)); got != want {
			t.Errorf("%s: the size is said to be %s: want %s", name, got, want)
		}
		if end := raw[len(raw)-1024:]; !bytes.Equal(end, make([]byte, 1024)) {
			t.Errorf("%s does not end in two blocks of zeros", name)
		}
		cache, err := framecache.Open(t.TempDir(), framecache.DefaultLimit)
		must(t, err)
		o.Jobs, o.Cache = 7, cache
		for _, state := range []string{"empty", "full"} {
			again, second := writeEntriesTo(t, entries, o)
			if !bytes.Equal(again, b) {
				t.Errorf("%s: seven jobs and a cache that is %s made other bytes", name, state)
			}
			if d := cmp.Diff(result, second); d != "" {
				t.Errorf("%s: with a cache that is %s (-result +now):\n%s", name, state, d)
			}
		}
	}
}

// TestChunksOfZstdLieWhereTheIndexSays reads what containers/storage reads: by the annotations alone, each chunk from its offset to its end.
func TestChunksOfZstdLieWhereTheIndexSays(t *testing.T) {
	b, result := writeEntriesTo(t, lazyCorpus(t), Options{Format: Zstd, Level: 1, Estargz: true})
	var at, packed, size, kind int
	_, err := fmt.Sscanf(result.Annotations["io.github.containers.zstd-chunked.manifest-position"], "%d:%d:%d:%d", &at, &packed, &size, &kind)
	must(t, err)
	index := b[at : at+packed]
	if got := string(oci.DigestOf(index)); got != result.Annotations["io.github.containers.zstd-chunked.manifest-checksum"] || kind != 1 {
		t.Errorf("the index, of type %d, has the digest %s", kind, got)
	}
	var toc struct {
		Version int
		Entries []struct {
			Type, Name, ChunkDigest      string
			Size, Offset, EndOffset      int64
			ChunkSize, ChunkOffset, Mode int64
		}
	}
	raw := decompress(t, Zstd, index)
	must(t, json.Unmarshal(raw, &toc))
	if len(raw) != size || toc.Version != 1 {
		t.Errorf("the index has %d bytes: want %d", len(raw), size)
	}
	chunks := 0
	for _, e := range toc.Entries {
		if e.Offset == 0 {
			continue
		}
		chunks++
		content := decompress(t, Zstd, b[e.Offset:e.EndOffset])
		if string(oci.DigestOf(content)) != e.ChunkDigest {
			t.Errorf("%s, at %d: the chunk from %d to %d is another", e.Name, e.ChunkOffset, e.Offset, e.EndOffset)
		}
	}
	if chunks < 300 {
		t.Errorf("there are only %d chunks", chunks)
	}
}

func TestWhatCannotBeLazyIsAnError(t *testing.T) {
	for name, row := range map[string]struct {
		entries []Entry
		o       Options
		want    string
	}{
		"a file where the index goes": {[]Entry{{Path: estargz.TOCTarName}}, Options{Format: Gzip, Level: 1, Estargz: true}, "path /stargz.index.json: is where eStargz keeps its index"},
		"a link to a lower layer":     {[]Entry{{Path: "a", Kind: Link, Target: "b"}}, Options{Format: Zstd, Level: 1, Estargz: true}, "path /a: is a hard link to /b, which the layer has not"},
		"an uncompressed layer":       {nil, Options{Format: None, Estargz: true}, "an uncompressed layer cannot be mounted lazily"},
	} {
		_, err := Write(context.Background(), io.Discard, row.entries, row.o)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: error is %v: want %q", name, err, row.want)
		}
	}
}

func TestAnEmptyLayerCanBeLazy(t *testing.T) {
	for name, o := range everyLazyOption() {
		b, result := writeEntriesTo(t, nil, o)
		r, err := estargz.Open(io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))), estargz.WithDecompressors(new(zstdchunked.Decompressor)))
		must(t, err)
		if _, err := r.VerifyTOC(digest.Digest(result.Annotations[estargz.TOCJSONDigestAnnotation])); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTheBytesAreAPromiseWhenLazy is the promise of digests.json for the layers of this file.
func TestTheBytesAreAPromiseWhenLazy(t *testing.T) {
	entries := lazyCorpus(t)
	got := map[string]string{}
	for name, o := range everyOption() {
		if o.Format != None {
			o.Estargz = true
			_, result := writeEntriesTo(t, entries, o)
			got[name] = string(result.Digest)
		}
	}
	b, err := json.MarshalIndent(got, "", "  ")
	must(t, err)
	golden := filepath.Join("testdata", "lazy_digests.json")
	if *update {
		must(t, os.WriteFile(golden, append(b, '\n'), 0o644))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if d := cmp.Diff(string(want), string(b)+"\n"); d != "" {
		t.Errorf("the bytes of layers changed (-promised +now):\n%s", d)
	}
}
