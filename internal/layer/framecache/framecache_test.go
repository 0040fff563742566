package framecache

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func open(t testing.TB, dir string, limit int64) *Cache {
	t.Helper()
	c, err := Open(dir, limit)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func files(t testing.TB, dir string) (paths []string, size int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			info, err := d.Info()
			if err != nil {
				return nil // evicted meanwhile
			}
			paths = append(paths, p)
			size += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths, size
}

func TestGetReturnsWhatWasPut(t *testing.T) {
	c := open(t, t.TempDir(), DefaultLimit)
	k := KeyOf("gzip 1", []byte("raw"))
	if _, ok := c.Get(k, nil); ok {
		t.Error("an empty cache has the frame")
	}
	c.Put(k, []byte("frame"))
	got, ok := c.Get(k, []byte("before "))
	if !ok || string(got) != "before frame" {
		t.Errorf("got %q, %v", got, ok)
	}
}

func TestKeysDifferByProfileAndBytes(t *testing.T) {
	seen := map[Key]bool{}
	for _, profile := range []string{"gzip 1", "gzip 11", "zstd 1"} {
		for _, raw := range []string{"", "1", "raw"} {
			seen[KeyOf(profile, []byte(raw))] = true
		}
	}
	if len(seen) != 9 {
		t.Errorf("9 frames have %d keys", len(seen))
	}
}

func TestACorruptEntryCountsAsMissing(t *testing.T) {
	for name, corrupt := range map[string]func(b []byte) []byte{
		"a bit":    func(b []byte) []byte { b[3] ^= 1; return b },
		"the sum":  func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"cut":      func(b []byte) []byte { return b[:len(b)-3] },
		"longer":   func(b []byte) []byte { return append(b, 0) },
		"empty":    func(b []byte) []byte { return nil },
		"of zeros": func(b []byte) []byte { return make([]byte, len(b)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c := open(t, dir, DefaultLimit)
			k := KeyOf("p", []byte("raw"))
			c.Put(k, bytes.Repeat([]byte("frame"), 100))
			paths, _ := files(t, dir)
			b, err := os.ReadFile(paths[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(paths[0], corrupt(b), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, ok := c.Get(k, []byte("x")); ok || string(got) != "x" {
				t.Errorf("got %d bytes, %v", len(got), ok)
			}
			c.Put(k, []byte("again"))
			if got, ok := c.Get(k, nil); !ok || string(got) != "again" {
				t.Errorf("after another Put: got %q, %v", got, ok)
			}
		})
	}
}

func TestAnEntryInAnothersPlaceCountsAsMissing(t *testing.T) {
	c := open(t, t.TempDir(), DefaultLimit)
	a, b := KeyOf("p", []byte("a")), KeyOf("p", []byte("b"))
	c.Put(a, []byte("frame a"))
	c.Put(b, []byte("frame b"))
	if err := os.Rename(c.path(a), c.path(b)); err != nil {
		t.Fatal(err)
	}
	if got, ok := c.Get(b, nil); ok {
		t.Errorf("got %q", got)
	}
}

func TestSizeIsBoundedAndTheLeastUsedGo(t *testing.T) {
	const limit = shards * 4000
	dir := t.TempDir()
	var newest Key
	for p := range 3 { // each a process of its own
		c := open(t, dir, limit)
		for i := range 800 {
			newest = KeyOf("p", fmt.Append(nil, p, i))
			c.Put(newest, make([]byte, 1000))
		}
	}
	if _, size := files(t, dir); size > limit || size < limit/2 {
		t.Errorf("the cache has %d bytes: want at most %d, and well filled", size, limit)
	}
	if _, ok := open(t, dir, limit).Get(newest, nil); !ok {
		t.Error("the newest frame is gone")
	}
}

func TestUseKeepsAnEntry(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, DefaultLimit)
	k := KeyOf("p", nil)
	c.Put(k, []byte("frame"))
	long := time.Now().Add(-100 * fresh)
	if err := os.Chtimes(c.path(k), long, long); err != nil {
		t.Fatal(err)
	}
	c.Get(k, nil)
	if info, err := os.Stat(c.path(k)); err != nil || time.Since(info.ModTime()) > fresh {
		t.Errorf("the entry was not used since %v, %v", info.ModTime(), err)
	}
}

// What was used in the future, since when the clock was set back, must not push out all that is used from now on.
func TestClocksJump(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, shards*8000)
	var keys []Key // of one shard
	for i := 0; len(keys) < 20; i++ {
		if k := KeyOf("p", fmt.Append(nil, i)); k[0] == 0 {
			keys = append(keys, k)
		}
	}
	for _, k := range keys[:10] {
		c.Put(k, make([]byte, 1000))
	}
	old, future := 0, time.Now().AddDate(1, 0, 0)
	for _, k := range keys[:10] {
		if os.Chtimes(c.path(k), future, future) == nil {
			old++
		}
	}
	used := keys[9]
	if _, ok := c.Get(used, nil); !ok || old < 5 {
		t.Fatalf("%d frames are there, and the newest: %v", old, ok)
	}
	c = open(t, dir, shards*8000)
	for _, k := range keys[10:13] {
		c.Put(k, make([]byte, 1000))
	}
	for i, k := range append([]Key{used}, keys[10:13]...) {
		if _, ok := c.Get(k, nil); !ok {
			t.Errorf("frame %d is gone, which was used after the clock was set back", i)
		}
	}
}

func TestDeletingTheCacheWhileItIsUsedIsHarmless(t *testing.T) {
	dir := t.TempDir()
	caches := []*Cache{open(t, dir, shards*5000), open(t, dir, shards*5000)}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			for range 200 {
				n := r.IntN(200)
				k, want := KeyOf("p", fmt.Append(nil, n)), bytes.Repeat([]byte{byte(n)}, n)
				c := caches[w%2]
				if got, ok := c.Get(k, nil); ok && !bytes.Equal(got, want) {
					t.Errorf("frame %d has other bytes", n)
				}
				c.Put(k, want)
			}
		})
	}
	for range 20 {
		os.RemoveAll(filepath.Join(dir, version))
	}
	wg.Wait()
}

func TestACacheThatCannotBeWrittenIsHarmless(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, DefaultLimit)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // in the way
		t.Fatal(err)
	}
	k := KeyOf("p", nil)
	c.Put(k, []byte("frame"))
	if _, ok := c.Get(k, nil); ok {
		t.Error("the frame is there")
	}
	if _, err := Open(dir, DefaultLimit); err == nil {
		t.Error("a file was opened as a cache")
	}
}

// TestAnErrorThatPassesIsForgotten puts a frame while something is in its way: it leaves nothing, and the cache rests and works again.
func TestAnErrorThatPassesIsForgotten(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, DefaultLimit)
	k := KeyOf("p", nil)
	if err := os.MkdirAll(filepath.Join(c.path(k), "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	c.Put(k, []byte("frame"))
	if left, _ := files(t, dir); left != nil {
		t.Errorf("a Put that failed leaves %v", left)
	}
	if err := os.RemoveAll(c.path(k)); err != nil {
		t.Fatal(err)
	}
	c.Put(k, []byte("frame"))
	if _, ok := c.Get(k, nil); ok {
		t.Error("an error does not stop Put for a while")
	}
	c.rests = time.Now()
	c.Put(k, []byte("frame"))
	if _, ok := c.Get(k, nil); !ok {
		t.Error("an error stops Put for good")
	}
}

func TestNoCacheDoesNothing(t *testing.T) {
	var c *Cache
	c.Put(Key{}, []byte("frame"))
	if _, ok := c.Get(Key{}, nil); ok {
		t.Error("no cache has a frame")
	}
}
