package framecache

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// makeRoom sees to it that size bytes more fit into the shard of a key. It reports whether to write them.
func (c *Cache) makeRoom(k Key, size int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.rests) {
		return false
	}
	s := &c.filled[k[0]]
	if s.puts == 0 || s.puts > recount || s.size+size > c.limit {
		s.size, s.puts = evict(filepath.Dir(c.path(k)), c.limit-size), 1
	}
	s.puts++
	s.size += size
	return true
}

// evict deletes the files of a directory that were not used for the longest time, when they are more than limit bytes: then until they
// are an eighth less, so that it is not needed again at once. It returns how many bytes are left. Unfinished files that a killed process
// left behind go the same way.
func evict(dir string, limit int64) int64 {
	list, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	var files []fs.FileInfo
	total := int64(0)
	for _, d := range list {
		if info, err := d.Info(); err == nil {
			files = append(files, info)
			total += info.Size()
		}
	}
	if total <= limit {
		return total
	}
	now := time.Now()
	unused := func(f fs.FileInfo) time.Duration { return now.Sub(f.ModTime()).Abs() } // the future is as far: the clock was set back
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return cmp.Compare(unused(b), unused(a)) })
	for _, info := range files {
		if total <= limit-limit/8 {
			break
		}
		if os.Remove(filepath.Join(dir, info.Name())) == nil {
			total -= info.Size()
		}
	}
	return total
}
