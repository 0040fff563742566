// Package framecache keeps compressed frames of layers in a directory, so that a layer in which little changed costs no more than
// hashing it. Its entry points are [Open], [KeyOf], [Cache.Get] and [Cache.Put].
//
// The law: the cache is never needed and never trusted. Losing it, or a part of it, at any moment loses only time; many processes may use
// it at once; an entry whose checksum is wrong counts as missing, and errors are no more than that. Its size is bounded.
package framecache

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"lukechampine.com/blake3"
)

// DefaultLimit is how many bytes a cache holds if nothing else is said.
const DefaultLimit = 4 << 30

const (
	// version is that of the files.
	version = "v1"
	// shards divide the cache. Keys are spread evenly, so each holds its part of the limit.
	shards = 256
	// fresh is how long an entry counts as just used, so that not each use writes to the disk.
	fresh = time.Hour
	// recount is after how many entries a shard is measured again: other processes fill it too.
	recount = 16
	// rest is for how long nothing is written after an error: where the disk is full, each attempt would only take time, but a worker
	// lives long and disks get room again.
	rest    = time.Minute
	sumSize = 16
)

// Key names a frame: its raw bytes and how they are compressed.
type Key [32]byte

// KeyOf makes the key of a frame. A profile stands for all that decides on the compressed bytes but the raw ones.
func KeyOf(profile string, raw []byte) Key {
	id := blake3.Sum256([]byte(profile))
	h := blake3.New(len(Key{}), id[:])
	h.Write(raw)
	return Key(h.Sum(nil))
}

// Cache is a directory of frames. Its methods may be called concurrently; those of a nil Cache do nothing.
type Cache struct {
	dir   string
	limit int64 // of a shard

	mu     sync.Mutex
	filled [shards]filling
	rests  time.Time // nothing is written until then
}

// filling is what this process knows of a shard.
type filling struct {
	size int64
	puts int // since it was measured, plus one
}

// Open uses a directory, which it makes if need be, for a cache of at most limit bytes. It fails when the directory can't be used.
func Open(dir string, limit int64) (*Cache, error) {
	dir = filepath.Join(dir, version)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("frame cache: %w", err)
	}
	return &Cache{dir: dir, limit: limit / shards}, nil
}

// String is the directory that the cache was opened in.
func (c *Cache) String() string { return filepath.Dir(c.dir) }

func (c *Cache) path(k Key) string {
	return filepath.Join(c.dir, fmt.Sprintf("%02x", k[0]), fmt.Sprintf("%x", k[1:]))
}

// Get appends the frame of a key to to, if it is there and whole.
func (c *Cache) Get(k Key, to []byte) ([]byte, bool) {
	if c == nil {
		return to, false
	}
	f, err := os.Open(c.path(k))
	if err != nil {
		return to, false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() < sumSize {
		return to, false
	}
	n, size := len(to), int(info.Size())
	to = slices.Grow(to, size)[:n+size]
	if got, err := f.ReadAt(to[n:], 0); got != size || err != nil {
		return to[:n], false
	}
	end := n + size - sumSize
	if !bytes.Equal(to[end:], sum(k, to[n:end])) {
		os.Remove(f.Name())
		return to[:n], false
	}
	if now := time.Now(); now.Sub(info.ModTime()).Abs() > fresh {
		os.Chtimes(f.Name(), now, now)
	}
	return to[:end], true
}

// Put keeps the frame of a key. It may be thrown away at any time.
func (c *Cache) Put(k Key, frame []byte) {
	size := int64(len(frame) + sumSize)
	if c == nil || size > c.limit || !c.makeRoom(k, size) {
		return
	}
	err := c.write(k, frame)
	if errors.Is(err, fs.ErrNotExist) { // somebody deletes the cache, or this is the shard's first
		if err = os.MkdirAll(filepath.Dir(c.path(k)), 0o700); err == nil {
			err = c.write(k, frame)
		}
	}
	if err != nil {
		c.mu.Lock()
		c.rests = time.Now().Add(rest)
		c.mu.Unlock()
	}
}

// write writes beside the place and renames. Two that write the same write the same bytes.
func (c *Cache) write(k Key, frame []byte) error {
	f, err := os.CreateTemp(filepath.Dir(c.path(k)), "new-")
	if err != nil {
		return err
	}
	_, err = f.Write(frame)
	if err == nil {
		_, err = f.Write(sum(k, frame))
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), c.path(k))
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// sum is the checksum of an entry. It depends on the key, so that one entry is never taken for another.
func sum(k Key, frame []byte) []byte {
	h := blake3.New(sumSize, k[:])
	h.Write(frame)
	return h.Sum(nil)
}
