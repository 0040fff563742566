package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/bazel-contrib/rules_img/internal/layer"
)

func TestWrongArchivesAreErrorsThatSayWhere(t *testing.T) {
	plain := tarOf(t, tar.Header{Name: "a"}, "hello", tar.Header{Name: "b"}, strings.Repeat("b", 2000))
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 0xff
		return b
	}
	liar := bytes.Clone(plain)
	copy(liar[1024+124:], "00077777777") // of b, with its checksum
	setChecksum(liar[1024:1536])
	zipped, zst := gzipped(t, plain), zstandard(t, plain)
	for name, row := range map[string]struct {
		archive []byte
		want    string
	}{
		"empty":                         {nil, "is empty: want a tar archive"},
		"no archive":                    {[]byte(strings.Repeat("text ", 300)), "byte 0: is no header of a tar archive"},
		"cut in a header":               {plain[:1200], `byte 1200: the archive ends here: it is truncated, or a size in it is wrong (after the header of "a")`},
		"cut in a content":              {plain[:2000], `the archive ends here: it is truncated, or a size in it is wrong (after the header of "b")`},
		"cut before its end":            {plain[:len(plain)-1024], "byte 3584: the archive ends without the two empty blocks"},
		"a header that was hit":         {flip(plain, 1024+10), `byte 1024: is no header of a tar archive (after the header of "a")`},
		"a size that lies":              {liar, `the archive ends here`},
		"gzip, cut":                     {zipped[:len(zipped)-30], "of the file: byte "},
		"gzip, cut in its trailer":      {zipped[:len(zipped)-4], "of the file: byte "},
		"gzip, hit":                     {flip(zipped, len(zipped)-3), "of the file: byte "},
		"gzip, a bad header":            {flip(zipped, 2), "before byte "},
		"gzip, with rubbish after it":   {append(bytes.Clone(zipped), "rubbish after all"...), "gzip: invalid header"},
		"zstd, cut":                     {zst[:len(zst)-20], "of the file: byte "},
		"zstd, hit":                     {flip(zst, len(zst)/2), "of the file: byte "},
		"zstd, with a window too large": {append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0xf8}, make([]byte, 100)...), "window size exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := Open(file(t, row.archive))
			if err == nil {
				_, err = a.Inspect(context.Background())
			}
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error is %v: want %q", err, row.want)
			}
			if _, err := rewrite(t, row.archive); err == nil {
				t.Error("it can be taken apart")
			}
			if a != nil {
				if _, err := a.Recompress(context.Background(), io.Discard, layer.Options{Format: layer.None}); err == nil {
					t.Error("it can be recompressed")
				}
			}
		})
	}
}

func setChecksum(header []byte) {
	copy(header[148:156], "        ")
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	copy(header[148:156], []byte{'0', byte('0' + sum>>15&7), byte('0' + sum>>12&7), byte('0' + sum>>9&7), byte('0' + sum>>6&7), byte('0' + sum>>3&7), byte('0' + sum&7), 0})
}

func TestArchivesThatCannotBeTakenApart(t *testing.T) {
	for name, row := range map[string]struct {
		archive []byte
		want    string
	}{
		"a name that leaves the root": {tarOf(t, tar.Header{Name: "x"}, "1", tar.Header{Name: "../../etc/passwd"}), `byte 1024: "../../etc/passwd": path "../../etc/passwd": leaves the root`},
		"a link that leaves the root": {tarOf(t, tar.Header{Typeflag: tar.TypeLink, Name: "x", Linkname: "../y"}), "leaves the root"},
		"a type of its own":           {tarOf(t, tar.Header{Typeflag: 'V', Name: "volume"}), `is of a type that layers do not have: 'V'`},
		"a file as a directory":       {tarOf(t, tar.Header{Name: "x"}, "1", tar.Header{Name: "x/y"}, "2"), "path /x/y (the file"},
		"a global time that is none":  {tarOf(t, tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"mtime": "noon"}}, tar.Header{Name: "x"}), "is a global header with records that are not valid"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := rewrite(t, row.archive); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error is %v: want %q", err, row.want)
			}
		})
	}
}

// hugeSparse is an archive of a few blocks with a file of 8 EiB, all of it a hole.
func hugeSparse() []byte { return append(sparse("hole", math.MaxInt64), make([]byte, 1024)...) }

// sparse is a member of an archive that is all of it a hole.
func sparse(name string, size int64) []byte {
	var records string
	for _, r := range []string{"GNU.sparse.major=0", "GNU.sparse.minor=1", "GNU.sparse.numblocks=1", fmt.Sprintf("GNU.sparse.map=%d,0", size), fmt.Sprintf("GNU.sparse.size=%d", size)} {
		records += fmt.Sprintf("%d %s\n", len(r)+4, r)
	}
	b := append(rawHeader("records", tar.TypeXHeader, len(records)), records...)
	b = append(b, make([]byte, -len(b)&511)...)
	return append(b, rawHeader(name, tar.TypeReg, 0)...)
}

func rawHeader(name string, typeflag byte, size int) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000644\x000000000\x000000000\x00"+fmt.Sprintf("%011o\x00%011o\x00", size, 0))
	b[156] = typeflag
	copy(b[257:], "ustar\x0000")
	setChecksum(b)
	return b
}

func TestBombsAreBounded(t *testing.T) {
	zeros := filepath.Join(t.TempDir(), "zeros.tgz")
	f, err := os.Create(zeros)
	must(t, err)
	z := gzip.NewWriter(f)
	w := tar.NewWriter(z)
	must(t, w.WriteHeader(&tar.Header{Name: "zeros", Size: 256 << 20}))
	_, err = io.Copy(w, io.LimitReader(zero{}, 256<<20))
	must(t, err)
	must(t, w.Close())
	must(t, z.Close())
	must(t, f.Close())

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	a, err := Open(zeros)
	must(t, err)
	_, err = a.Inspect(context.Background())
	must(t, err)
	_, err = a.Recompress(context.Background(), io.Discard, layer.Options{Format: layer.Zstd, Level: 1, Jobs: 2})
	must(t, err)
	runtime.ReadMemStats(&after)
	if grew := after.Sys - before.Sys; grew > 100<<20 {
		t.Errorf("256 MiB of zeros took %d MiB of memory", grew>>20)
	}

	if _, err := rewrite(t, hugeSparse()); err == nil || !strings.Contains(err.Error(), "is a sparse file of 9223372036854775807 bytes") {
		t.Errorf("a hole of 8 EiB: error is %v", err)
	}
	if _, err := open(t, hugeSparse()).Recompress(context.Background(), io.Discard, layer.Options{Format: layer.None}); err != nil {
		t.Errorf("a hole of 8 EiB that stays one: %v", err)
	}
}

// TestSparseFilesAreBoundedTogether has files that are each within the limit, of which the second is one too many.
func TestSparseFilesAreBoundedTogether(t *testing.T) {
	spool, err := os.CreateTemp(t.TempDir(), "")
	must(t, err)
	defer spool.Close()
	both := slices.Concat(sparse("one", 50_000), sparse("two", 50_001), make([]byte, 1024))
	if _, err := open(t, both).entries(context.Background(), spool, 100_001); err != nil {
		t.Errorf("as large as the limit: %v", err)
	}
	const want = `"two": is a sparse file of 50001 bytes: written out in full, all of an archive must not be larger than 100000`
	if _, err := open(t, both).entries(context.Background(), spool, 100_000); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v; want %s", err, want)
	}
}

// TestABadHeaderInAZstdArchive is for the race detector: the decoder reads ahead while the error is located.
func TestABadHeaderInAZstdArchive(t *testing.T) {
	body := make([]byte, 16<<20)
	rand.Read(body)
	e, err := zstd.NewWriter(nil)
	must(t, err)
	a := open(t, e.EncodeAll(body, nil))
	for range 5 {
		if _, err := a.Inspect(context.Background()); err == nil || !strings.Contains(err.Error(), "is no header of a tar archive") {
			t.Errorf("error is %v", err)
		}
	}
}

type zero struct{}

func (zero) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestCancellingEndsTheReading(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := open(t, someTar(t)).Inspect(ctx); err == nil {
		t.Error("a cancelled reading succeeded")
	}
}

// FuzzArchive reads anything in every way: it may fail, it must end, and the ways must agree.
func FuzzArchive(f *testing.F) {
	plain := someTar(f)
	for _, b := range everyForm(f, plain) {
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Add(hugeSparse())
	f.Add(tarOf(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Open(file(t, b))
		if err != nil {
			return
		}
		as, err := a.Inspect(context.Background())
		if err != nil {
			if _, err := a.Recompress(context.Background(), io.Discard, layer.Options{Format: layer.None}); err == nil {
				t.Error("what cannot be read as it is can be recompressed")
			}
			return
		}
		again, err := a.Recompress(context.Background(), io.Discard, layer.Options{Format: layer.Gzip, Level: 1, Jobs: 1})
		if err != nil || again.DiffID != as.DiffID {
			t.Errorf("recompressed: %v, and diff ID %s is not %s", err, again.DiffID, as.DiffID)
		}
		out, err := rewrite(t, b)
		if err != nil {
			return
		}
		twice, err := rewrite(t, out)
		if err != nil || !bytes.Equal(twice, out) {
			t.Errorf("what was rewritten is rewritten to something else: %v", err)
		}
	})
}
