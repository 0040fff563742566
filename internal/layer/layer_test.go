package layer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/bazel-contrib/rules_img/internal/layer/framecache"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// corpus is a tree of files that is the same on every machine: many small ones, some alike, a large one that compresses and one that
// does not.
func corpus(t testing.TB) *Contents {
	t.Helper()
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	var c Contents
	put := func(name string, b []byte) {
		path := filepath.Join(dir, fmt.Sprintf("%x", sha256.Sum256([]byte(name))))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := c.AddFile(name, path); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 300 {
		put(fmt.Sprintf("usr/share/pkg%02d/file%03d", i%37, i), text(r, 100+r.IntN(12000)))
	}
	put("opt/large", text(r, 3<<20))
	put("opt/noise", noise(r, 1<<20+777))
	put("opt/same-a", []byte("twice"))
	put("opt/same-b", []byte("twice"))
	put("opt/"+strings.Repeat("long-name-", 30), []byte("x"))
	must(t, c.AddEmpty("opt/empty"))
	must(t, c.AddSymlink("opt/link", "../usr/share"))
	c.CreateParents = true
	return &c
}

func text(r *rand.Rand, n int) []byte {
	words := strings.Fields("the layer of a blob is cut into frames where its content says so and each is compressed on its own")
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "%s %d ", words[r.IntN(len(words))], r.IntN(5000))
	}
	return b.Bytes()[:n]
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reuse is the same contents, so that there are entries of them more than once.
func reuse(c *Contents) *Contents {
	other := *c
	other.entries = slices.Clone(c.entries)
	return &other
}

func write(t testing.TB, c *Contents, o Options) ([]byte, Result) {
	t.Helper()
	entries, err := reuse(c).Entries(t.Context())
	must(t, err)
	var b bytes.Buffer
	result, err := Write(context.Background(), &b, entries, o)
	must(t, err)
	return b.Bytes(), result
}

func everyOption() map[string]Options {
	all := map[string]Options{"none": {Format: None}}
	for level := -1; level <= 9; level++ {
		all[fmt.Sprintf("gzip %d", level)] = Options{Format: Gzip, Level: level}
	}
	for level := 1; level <= 4; level++ {
		all[fmt.Sprintf("zstd %d", level)] = Options{Format: Zstd, Level: level}
	}
	return all
}

// TestTheBytesAreAPromise compares with digests that must never change: users' caches and registries hold them. If one must change
// all the same, profileVersion changes with it, since frame caches hold the old frames.
func TestTheBytesAreAPromise(t *testing.T) {
	c := corpus(t)
	got := map[string]string{}
	for name, o := range everyOption() {
		_, result := write(t, c, o)
		got[name] = string(result.Digest)
		got["diff ID"] = string(result.DiffID)
	}
	b, err := json.MarshalIndent(got, "", "  ")
	must(t, err)
	golden := filepath.Join("testdata", "digests.json")
	if *update {
		must(t, os.WriteFile(golden, append(b, '\n'), 0o644))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if d := cmp.Diff(string(want), string(b)+"\n"); d != "" {
		t.Errorf("the bytes of layers changed (-promised +now):\n%s", d)
	}
}

func TestJobsAndOrderChangeNoByte(t *testing.T) {
	c := corpus(t)
	want, _ := write(t, c, Options{Format: Gzip, Level: 1, Jobs: 1})
	for _, jobs := range []int{2, 3, 16} {
		slices.Reverse(c.entries)
		if got, _ := write(t, c, Options{Format: Gzip, Level: 1, Jobs: jobs}); !bytes.Equal(got, want) {
			t.Errorf("%d jobs made other bytes than one", jobs)
		}
	}
}

// TestOtherMachinesMakeTheSameBytes runs the tests of the promise on a 32-bit build, and on one without assembly.
func TestOtherMachinesMakeTheSameBytes(t *testing.T) {
	if testing.Short() || os.Getenv("LAYER_PROMISE_CHILD") != "" {
		return
	}
	for name, args := range map[string][]string{"32 bits": {"GOARCH=386"}, "no assembly": {"GOFLAGS=-tags=noasm,purego"}} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("go", "test", "-count=1", "-run", "TestTheBytesAreAPromise", ".")
			cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "LAYER_PROMISE_CHILD=1"), args...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestSurroundingsChangeNoByte runs the tests of the promise with one CPU, another time zone and language, and files that only the user reads.
func TestSurroundingsChangeNoByte(t *testing.T) {
	if runtime.GOOS == "windows" || os.Getenv("LAYER_PROMISE_CHILD") != "" {
		return
	}
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command("sh", "-c", `umask 077 && exec "$0" -test.run=TestTheBytesAreAPromise`, self)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=10", "TZ=Asia/Kathmandu", "LC_ALL=tr_TR.UTF-8", "LAYER_PROMISE_CHILD=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestResultDescribesTheBytes(t *testing.T) {
	c := corpus(t)
	for _, name := range []string{"none", "gzip 1", "gzip 9", "zstd 1"} {
		o := everyOption()[name]
		b, result := write(t, c, o)
		raw := decompress(t, o.Format, b)
		want := Result{MediaType: o.Format.MediaType(), Digest: oci.DigestOf(b), Size: int64(len(b)), DiffID: oci.DigestOf(raw)}
		if d := cmp.Diff(want, result); d != "" {
			t.Errorf("%s (-bytes +result):\n%s", name, d)
		}
	}
}

func decompress(t testing.TB, f Format, b []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(b)
	switch f {
	case Gzip:
		z, err := gzip.NewReader(r)
		must(t, err)
		z.Multistream(false)
		r = z
	case Zstd:
		z, err := zstd.NewReader(r)
		must(t, err)
		defer z.Close()
		r = z
	}
	raw, err := io.ReadAll(r)
	must(t, err)
	return raw
}

func members(t testing.TB, b []byte) []*tar.Header {
	t.Helper()
	var all []*tar.Header
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		must(t, err)
		all = append(all, h)
	}
}

func TestTheArchiveIsInOrder(t *testing.T) {
	b, _ := write(t, corpus(t), Options{Format: None})
	seen := map[string]bool{"": true}
	links := 0
	for _, h := range members(t, b) {
		name := strings.TrimSuffix(h.Name, "/")
		parent, _, _ := cutLast(name)
		if !seen[parent] || seen[name] {
			t.Errorf("%s comes before its parent or twice", h.Name)
		}
		if h.Typeflag == tar.TypeLink {
			links++
			if !seen[h.Linkname] {
				t.Errorf("%s links to %s, which does not come before it", h.Name, h.Linkname)
			}
		}
		seen[name] = true
	}
	if links != 1 {
		t.Errorf("there are %d hard links: want one", links)
	}
	if end := b[len(b)-1024:]; !bytes.Equal(end, make([]byte, 1024)) || len(b)%512 != 0 {
		t.Error("the archive does not end in two blocks of zeros")
	}
}

func cutLast(name string) (dir, base string, found bool) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return "", name, false
	}
	return name[:i], name[i+1:], true
}

// TestAChangeLeavesOtherFramesAlone is why there are frames: nearly all of a layer's bytes stay when one file changes.
func TestAChangeLeavesOtherFramesAlone(t *testing.T) {
	c := corpus(t)
	before, _ := write(t, c, Options{Format: Zstd, Level: 1})
	must(t, c.AddEmpty("usr/share/pkg11/inserted"))
	after, _ := write(t, c, Options{Format: Zstd, Level: 1})
	same := 0
	for i := 0; i+4096 <= len(before); i += 4096 {
		if bytes.Contains(after, before[i:i+4096]) {
			same++
		}
	}
	if blocks := len(before) / 4096; same < blocks*3/4 {
		t.Errorf("%d of %d blocks of the layer are still there after an insertion", same, blocks)
	}
}

func TestCancellingEndsTheWrite(t *testing.T) {
	entries, err := corpus(t).Entries(t.Context())
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Write(ctx, io.Discard, entries, Options{Format: Gzip, Level: 9}); err == nil {
		t.Error("a cancelled write succeeded")
	}
}

func TestAFailingWriterEndsTheWrite(t *testing.T) {
	entries, err := corpus(t).Entries(t.Context())
	must(t, err)
	_, err = Write(context.Background(), failing{}, entries, Options{Format: Gzip, Level: 1})
	if err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("error is %v", err)
	}
}

// TestAnArchiveThatFailsIsNotEnded is the writer when it sees that there are no more frames before it sees why.
func TestAnArchiveThatFailsIsNotEnded(t *testing.T) {
	for _, filled := range []bool{false, true} {
		o := Options{Format: Gzip, Level: 1}
		e, err := o.encoding()
		must(t, err)
		var b bytes.Buffer
		p := newPipeline(&b, e, o)
		p.filled = filled
		close(p.ordered)
		must(t, p.write(context.Background()))
		z, err := gzip.NewReader(&b)
		must(t, err)
		if _, err := io.ReadAll(z); (err == nil) != filled {
			t.Errorf("filled is %v: the end is %v", filled, err)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, fmt.Errorf("disk full") }

func TestOtherToolsReadLayers(t *testing.T) {
	c := corpus(t)
	dir := t.TempDir()
	for name, row := range map[string]struct {
		o    Options
		test []string
	}{
		"a.tar":    {Options{Format: None}, []string{"tar", "-tf"}},
		"a.tar.gz": {Options{Format: Gzip, Level: 1}, []string{"gzip", "-t"}},
		"b.tar.gz": {Options{Format: Gzip, Level: 9}, []string{"tar", "-tzf"}},
	} {
		b, _ := write(t, c, row.o)
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, b, 0o600))
		if out, err := exec.Command(row.test[0], append(row.test[1:], path)...).CombinedOutput(); err != nil || strings.Contains(string(out), "warning") {
			t.Errorf("%v %s: %v\n%s", row.test, name, err, out)
		}
	}
}

// TestTheCacheChangesNoByte writes layers with a cache that is empty, full, half deleted, corrupt and gone.
func TestTheCacheChangesNoByte(t *testing.T) {
	c := corpus(t)
	dir := t.TempDir()
	cache, err := framecache.Open(dir, framecache.DefaultLimit)
	must(t, err)
	spoil := func(some func(i int, path string) error) func() {
		return func() {
			i := 0
			must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() {
					return err
				}
				i++
				return some(i, path)
			}))
		}
	}
	for _, name := range []string{"gzip 1", "zstd 1", "none"} {
		want, wantResult := write(t, c, everyOption()[name])
		for _, state := range []struct {
			name    string
			prepare func()
		}{
			{"empty", func() {}},
			{"full", func() {}},
			{"half deleted", spoil(func(i int, path string) error {
				if i%2 == 0 {
					return nil
				}
				return os.Remove(path)
			})},
			{"corrupt", spoil(func(i int, path string) error {
				return os.WriteFile(path, []byte("these are not the bytes of a frame"), 0o600)
			})},
			{"gone", func() { must(t, os.RemoveAll(dir)) }},
		} {
			state.prepare()
			o := everyOption()[name]
			o.Cache = cache
			got, result := write(t, c, o)
			if !bytes.Equal(got, want) || result.Digest != wantResult.Digest || result.DiffID != wantResult.DiffID {
				t.Errorf("%s with a cache that is %s: other bytes", name, state.name)
			}
		}
	}
}

// TestTheCacheSavesCompression counts what is compressed when nothing changed: nothing.
func TestTheCacheSavesCompression(t *testing.T) {
	c := corpus(t)
	cache, err := framecache.Open(t.TempDir(), framecache.DefaultLimit)
	must(t, err)
	entries, err := c.Entries(t.Context())
	must(t, err)
	compressed := func() int64 {
		e, err := Options{Format: Gzip, Level: 1}.encoding()
		must(t, err)
		var n atomic.Int64
		inner := e.compressor
		e.compressor = func() (compressor, error) {
			c, err := inner()
			return counting{c, &n}, err
		}
		p := newPipeline(io.Discard, e, Options{Cache: cache})
		must(t, p.run(context.Background(), func(ctx context.Context, f *framer) error {
			_, err := writeEntries(ctx, f, entries, nil)
			return err
		}))
		return n.Load()
	}
	if cold, warm := compressed(), compressed(); cold < 4<<20 || warm > 2<<20 { // the noise is never kept
		t.Errorf("%d bytes were compressed at first and %d afterwards", cold, warm)
	}
}

type counting struct {
	compressor
	n *atomic.Int64
}

func (c counting) frame(to, raw []byte) ([]byte, error) {
	c.n.Add(int64(len(raw)))
	return c.compressor.frame(to, raw)
}

// TestHeadersAreThoseOfArchiveTar compares the headers that are written here with those of the library, byte by byte.
func TestHeadersAreThoseOfArchiveTar(t *testing.T) {
	long := strings.Repeat("d", 60)
	names := []string{
		"a", "a/b", "ünïcode", "new\nline", "-dash", strings.Repeat("x", 99), strings.Repeat("x", 100), strings.Repeat("x", 101),
		long + "/" + long, long + "/" + long + "/" + long + "/" + long, long + "/" + long + "/" + long + "/" + long + "/" + long,
		strings.Repeat("p", 155) + "/" + strings.Repeat("n", 100), strings.Repeat("p", 156) + "/n", long + "/" + strings.Repeat("n", 101), "del\x7f", "",
	}
	for _, name := range names {
		for _, kind := range []Kind{File, Symlink, Directory, Link, CharDevice, BlockDevice, Pipe} {
			for _, change := range []func(*Entry){
				func(*Entry) {},
				func(e *Entry) { e.Size, e.Kind = 1<<33-1, File },
				func(e *Entry) { e.Size, e.Kind = 1<<33, File },
				func(e *Entry) { e.UID, e.GID = 1<<21-1, 1<<21-1 },
				func(e *Entry) { e.UID = 1 << 21 },
				func(e *Entry) { e.Mode = 0o7777 },
				func(e *Entry) { e.Uname, e.Gname = strings.Repeat("u", 32), "g" },
				func(e *Entry) { e.Uname = strings.Repeat("u", 33) },
				func(e *Entry) { e.Gname = "grüppe" },
				func(e *Entry) { e.Mtime = time.Time{} },
				func(e *Entry) { e.Mtime = time.Unix(-1, 0) },
				func(e *Entry) { e.Mtime = time.Unix(1<<33-1, 0) },
				func(e *Entry) { e.Mtime = time.Unix(1<<33, 0) },
				func(e *Entry) { e.Mtime = time.Unix(5, 7) },
				func(e *Entry) { e.PAXRecords = map[string]string{"SCHILY.xattr.user.a": "b"} },
				func(e *Entry) { e.Target, e.Kind = strings.Repeat("t", 100), Symlink },
				func(e *Entry) { e.Target, e.Kind = strings.Repeat("t", 101), Symlink },
				func(e *Entry) { e.Target, e.Kind = "../ü", Symlink },
				func(e *Entry) { e.Major, e.Minor, e.Kind = 1<<21-1, 3, CharDevice },
			} {
				e := &Entry{Path: name, Kind: kind, Metadata: &Metadata{Mode: 0o755, Mtime: time.Unix(0, 0)}}
				change(e)
				var want bytes.Buffer
				if err := tar.NewWriter(&want).WriteHeader(e.header()); err != nil {
					continue
				}
				var h headers
				got, err := h.header(e)
				if err != nil || !bytes.Equal(got, want.Bytes()) {
					t.Fatalf("%+v: %v\ngot  %q\nwant %q", e, err, got, want.Bytes())
				}
			}
		}
	}
}
