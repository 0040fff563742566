package layer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// twinned writes files and describes what the layer of them holds: a name, and what it links to.
func twinned(t *testing.T, change func(i int, e *Entry), contents ...[]byte) []string {
	t.Helper()
	dir := t.TempDir()
	var entries []Entry
	for i, b := range contents {
		e := Entry{Path: fmt.Sprint(i), Kind: File, From: filepath.Join(dir, fmt.Sprint(i)), Size: int64(len(b)), Metadata: &Metadata{Mode: 0o755, Mtime: time.Unix(0, 0)}}
		must(t, os.WriteFile(e.From, b, 0o600))
		change(i, &e)
		entries = append(entries, e)
	}
	var b bytes.Buffer
	_, err := Write(t.Context(), &b, entries, Options{Format: None})
	must(t, err)
	var all []string
	for _, h := range members(t, b.Bytes()) {
		all = append(all, strings.TrimSpace(h.Name+" "+h.Linkname))
	}
	return all
}

func TestTwins(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	other := bytes.Clone(large)
	other[100_000] ^= 1 // where no sample is taken
	small := []byte("small")
	known := func(digests ...string) func(int, *Entry) {
		return func(i int, e *Entry) { e.Digest = digests[i] }
	}
	gone := func(change func(int, *Entry), which int) func(int, *Entry) {
		return func(i int, e *Entry) {
			change(i, e)
			if i == which {
				e.From += ".gone"
			}
		}
	}
	files := func(inodes ...uint64) func(int, *Entry) {
		return func(i int, e *Entry) { e.file = fileID{1, inodes[i]} }
	}
	nothing := func(int, *Entry) {}
	for name, row := range map[string]struct {
		change   func(int, *Entry)
		contents [][]byte
		want     []string
	}{
		"small files alike are one":             {nothing, [][]byte{small, []byte("other"), small, small}, []string{"0", "1", "2 0", "3 0"}},
		"large files alike are one":             {nothing, [][]byte{large, other, large, other}, []string{"0", "1", "2 0", "3 1"}},
		"empty files are themselves":            {nothing, [][]byte{{}, {}}, []string{"0", "1"}},
		"other metadata is another file":        {func(i int, e *Entry) { e.UID = i / 2 }, [][]byte{small, small, small, small}, []string{"0", "1 0", "2", "3 2"}},
		"other records are another file":        {func(i int, e *Entry) { e.PAXRecords = map[string]string{"A.a": fmt.Sprint(i % 2)} }, [][]byte{small, small, small}, []string{"0", "1", "2 0"}},
		"known digests need no reading":         {gone(known("x", "y", "x"), 2), [][]byte{small, []byte("other"), small}, []string{"0", "1", "2 0"}},
		"a file in two places is read once":     {gone(files(1, 2, 1), 2), [][]byte{small, []byte("other"), small}, []string{"0", "1", "2 0"}},
		"a file that is a twin, in two places":  {gone(files(1, 2, 2), 2), [][]byte{small, small, small}, []string{"0", "1 0", "2 0"}},
		"a file in two places, other metadata":  {func(i int, e *Entry) { files(1, 1)(i, e); e.GID = i }, [][]byte{small, small}, []string{"0", "1"}},
		"parts of a file are not the file":      {func(i int, e *Entry) { e.file, e.Offset, e.Size = fileID{1, 1}, int64(i), 1 }, [][]byte{small, []byte("small")}, []string{"0", "1"}},
		"a digest that is missing is no digest": {known("x", "", "z"), [][]byte{small, small, small}, []string{"0", "1 0", "2 0"}},
		"known digests and other metadata":      {func(i int, e *Entry) { e.Digest, e.GID = "x", i }, [][]byte{small, small}, []string{"0", "1"}},
		"digests count only for their own size": {known("x", "x"), [][]byte{small, []byte("longer")}, []string{"0", "1"}},
		"contents inside one file may be alike": {func(i int, e *Entry) { e.Size, e.Offset = 1, int64(i) }, [][]byte{small, []byte("_s")}, []string{"0", "1 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(row.want, twinned(t, row.change, row.contents...)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestAFileThatShrankIsAnError shortens files after their size was noted, small ones and large ones.
func TestAFileThatShrankIsAnError(t *testing.T) {
	for _, size := range []int{10, smallFile + 1, 3 << 20} {
		path := filepath.Join(t.TempDir(), "file")
		must(t, os.WriteFile(path, make([]byte, size-1), 0o600))
		_, err := Write(t.Context(), io.Discard, []Entry{{Path: "a", Kind: File, From: path, Size: int64(size)}}, Options{Format: None})
		if err == nil || !strings.Contains(err.Error(), "has not the") {
			t.Errorf("a file of %d bytes that has one less: error is %v", size, err)
		}
	}
}

// TestAnIndexLearnsWhereEverythingLies reads each chunk back from where the map says that it is.
func TestAnIndexLearnsWhereEverythingLies(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	dir := t.TempDir()
	var entries []Entry
	contents := map[string][]byte{}
	for i, size := range []int{100, 0, 700_000, 5 << 20, 511, 512, 900_000, 900_000, 1 << 20} {
		name := fmt.Sprint(i)
		contents[name] = text(r, size)
		must(t, os.WriteFile(filepath.Join(dir, name), contents[name], 0o600))
		entries = append(entries, Entry{Path: name, Kind: File, From: filepath.Join(dir, name), Size: int64(size)})
	}
	for _, x := range []*recorder{{}, {ends: true}} {
		e := encoding{compressor: func() (compressor, error) { return copying{}, nil }, index: x}
		var b bytes.Buffer
		p := newPipeline(&b, e, Options{})
		must(t, p.run(t.Context(), func(ctx context.Context, f *framer) (err error) {
			p.layout.Members, err = writeEntries(ctx, f, entries, x)
			return err
		}))
		if !bytes.HasSuffix(b.Bytes(), []byte("indexfooter")) {
			t.Error("the index and the footer do not come last")
		}
		for _, m := range x.layout.Members {
			x.check(t, m, b.Bytes(), contents[m.Path])
		}
	}
}

// copying is stored for frames that have parts, which it must not give back as they are.
type copying struct{ stored }

func (copying) frame(to, raw []byte) ([]byte, error) { return append(to, raw...), nil }

// recorder is an indexer that keeps what it learns.
type recorder struct {
	ends   bool
	layout *Map
}

func (x *recorder) apart() bool                    { return x.ends }
func (x *recorder) members(m *Map) ([]byte, error) { x.layout = m; return []byte("index"), nil }
func (x *recorder) footer(*Map) ([]byte, error)    { return []byte("footer"), nil }
func (x *recorder) annotations() map[string]string { return nil }

func (x *recorder) check(t *testing.T, m *Member, blob, want []byte) {
	t.Helper()
	var got []byte
	for _, k := range m.Chunks {
		f := x.layout.Frames[k.Frame]
		chunk := blob[f.Blob:][:k.Size]
		if k.Offset != int64(len(got)) || k.Digest != oci.DigestOf(chunk) || f.Raw != f.Blob || f.Size != f.RawSize {
			t.Errorf("%s: chunk %+v in frame %+v is wrong", m.Path, k, f)
		}
		if x.ends && k.Size != f.RawSize {
			t.Errorf("%s: chunk %+v shares the frame %+v", m.Path, k, f)
		}
		got = append(got, chunk...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: the chunks are not the content", m.Path)
	}
	if len(want) > 0 && m.Sum != oci.DigestOf(want) {
		t.Errorf("%s: the sum is %s", m.Path, m.Sum)
	}
}
