package layer

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// Entry is one member of the layer's archive.
type Entry struct {
	// Path is relative, clean, with slashes.
	Path string
	Kind Kind
	// From is the file with the content of a File. It is all of it, or the part that begins at an Offset that is not 0. A Symlink that
	// has one is a file that Bazel declares as a symlink, and may be replaced by what it leads to.
	From   string
	Offset int64
	// Size is the content's, in bytes.
	Size int64
	// Digest is one of the content, if it is known without reading it. Nobody says by which function it was made: entries of one size that
	// all have one are compared by it, and that is all it is good for.
	Digest string
	// Target is the text of a Symlink, or the path that a Link is another name of.
	Target string
	// file is the one that From leads to, if that is known.
	file fileID
	// Major and Minor are a device's.
	Major, Minor int64
	// Metadata may be shared with other entries, so it is not to be changed. The zero value is that of none.
	*Metadata
}

// Kind is what an entry is.
type Kind int

// The kinds of entries.
const (
	File Kind = iota
	Symlink
	Directory
	// The others come out of archives only. A Link leads to what is not among the entries: those that lead to a File are one.
	Link
	CharDevice
	BlockDevice
	Pipe
)

var typeflags = [...]byte{
	File: tar.TypeReg, Symlink: tar.TypeSymlink, Directory: tar.TypeDir,
	Link: tar.TypeLink, CharDevice: tar.TypeChar, BlockDevice: tar.TypeBlock, Pipe: tar.TypeFifo,
}

// Metadata of an entry.
type Metadata struct {
	Mode         int64 // permission bits, with setuid and its like
	UID, GID     int
	Uname, Gname string
	Mtime        time.Time
	PAXRecords   map[string]string
}

// header is the entry's tar header; the type is that of its kind.
func (e *Entry) header() *tar.Header {
	h := &tar.Header{
		Typeflag: typeflags[e.Kind], Name: e.Path, Linkname: e.Target, Size: e.Size, Devmajor: e.Major, Devminor: e.Minor,
		Mode: e.Mode, Uid: e.UID, Gid: e.GID, Uname: e.Uname, Gname: e.Gname, ModTime: e.Mtime, PAXRecords: e.PAXRecords,
	}
	if e.Kind == Directory {
		h.Name = path.Join(".", e.Path) + "/"
	}
	if e.Mtime.Nanosecond() != 0 {
		h.Format = tar.FormatPAX // the others would round it
	}
	return h
}

// CleanPath makes the name of an archive's member the path of an entry. The root is the empty path.
func CleanPath(name string) (string, error) { return cleanDirectory(name) }

// cleanPath makes a path of the image relative and clean. One that leaves the root is an error.
func cleanPath(p string) (string, error) {
	if strings.ContainsRune(p, 0) {
		return "", fmt.Errorf("path %q: has a NUL byte", p)
	}
	c := path.Clean(strings.TrimLeft(p, "/"))
	if c == ".." || strings.HasPrefix(c, "../") {
		return "", fmt.Errorf("path %q: leaves the root of the image", p)
	}
	if c == "." {
		return "", fmt.Errorf("path %q: is the root of the image: name a path below it", p)
	}
	return c, nil
}

// comparePaths orders paths component by component, so that whatever lies below a directory follows it at once. Whiteouts precede
// their siblings, as the image specification recommends.
func comparePaths(a, b string) int {
	same := 0
	for same < len(a) && same < len(b) && a[same] == b[same] {
		same++
	}
	component := strings.LastIndexByte(a[:same], '/') + 1
	a, b = a[component:], b[component:]
	for a != "" && b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, "/")
		y, b, _ = strings.Cut(b, "/")
		if x == y {
			continue
		}
		if wx, wy := isWhiteout(x), isWhiteout(y); wx != wy {
			return map[bool]int{true: -1, false: 1}[wx]
		}
		return cmp.Compare(x, y)
	}
	return cmp.Compare(len(a), len(b))
}

func isWhiteout(name string) bool { return strings.HasPrefix(name, ".wh.") }

// Arrange puts entries that have their metadata, and that [Contents] did not make, in the order of the archive. It fails when they do
// not fit together.
func Arrange(ctx context.Context, entries []Entry) ([]Entry, error) {
	return arrange(ctx, slices.Clone(entries))
}

// arrange sorts entries, in place or not, and checks that they fit together: one for each path, unless they are the same, and nothing below
// what is no directory.
func arrange(ctx context.Context, entries []Entry) ([]Entry, error) {
	entries = sorted(entries)
	n := 0
	for i := range entries {
		if e := &entries[i]; n > 0 && entries[n-1].Path == e.Path {
			last := &entries[n-1]
			if same, err := last.same(ctx, e); err != nil || !same {
				return nil, cmp.Or(err, fmt.Errorf("path /%s: is given twice: %s, and %s", e.Path, last.origin(), e.origin()))
			}
			continue
		}
		if n != i {
			entries[n] = entries[i]
		}
		n++
	}
	return entries[:n], checkParents(entries[:n])
}

// sorted sorts entries by path. Those of one path keep their order. Entries are large: they are moved once, if at all.
func sorted(entries []Entry) []Entry {
	byPath := func(a, b *Entry) int { return comparePaths(a.Path, b.Path) }
	order := make([]*Entry, len(entries))
	for i := range entries {
		order[i] = &entries[i]
	}
	if slices.IsSortedFunc(order, byPath) {
		return entries
	}
	slices.SortStableFunc(order, byPath)
	out := make([]Entry, len(entries))
	for i, e := range order {
		out[i] = *e
	}
	return out
}

// checkParents looks back along the sorted list: what is above an entry precedes it.
func checkParents(entries []Entry) error {
	var above []*Entry
	for i := range entries {
		e := &entries[i]
		for len(above) > 0 && !below(e.Path, above[len(above)-1].Path) {
			above = above[:len(above)-1]
		}
		if len(above) > 0 && above[len(above)-1].Kind != Directory {
			p := above[len(above)-1]
			return fmt.Errorf("path /%s (%s): lies below /%s, which is no directory but %s", e.Path, e.origin(), p.Path, p.origin())
		}
		above = append(above, e)
	}
	return nil
}

// same reports whether two entries of one path are alike, so that it does not matter which is taken.
func (e *Entry) same(ctx context.Context, o *Entry) (bool, error) {
	switch {
	case e.Kind != o.Kind || e.Target != o.Target || e.Size != o.Size:
		return false, nil
	case e.From == o.From && e.Offset == o.Offset, e.file == o.file && e.file != fileID{} && e.Offset == o.Offset, e.Kind != File, e.Size == 0:
		return true, nil
	}
	return sameContent(ctx, e, o)
}

func sameContent(ctx context.Context, a, b *Entry) (bool, error) {
	var sums [2][]byte
	for i, e := range []*Entry{a, b} {
		sum := sha256.New()
		r, err := e.open()
		if err != nil {
			return false, err
		}
		defer r.Close()
		if _, err := io.Copy(sum, &cancelled{ctx, r}); err != nil {
			return false, err
		}
		sums[i] = sum.Sum(nil)
	}
	return bytes.Equal(sums[0], sums[1]), nil
}

// cancelled is a Reader that ends with its context.
type cancelled struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancelled) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}

// open opens the content of a File.
func (e *Entry) open() (io.ReadCloser, error) {
	f, err := os.Open(e.From)
	if err != nil {
		return nil, err
	}
	if e.Offset != 0 {
		if _, err := f.Seek(e.Offset, io.SeekStart); err != nil {
			f.Close()
			return nil, err
		}
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(f, e.Size), f}, nil
}

// origin says where an entry comes from, for messages.
func (e *Entry) origin() string {
	switch {
	case e.Kind == Symlink:
		return fmt.Sprintf("a symlink to %q", e.Target)
	case e.Kind == Directory:
		return "a directory"
	case e.Kind != File:
		return "a link or a device"
	case e.From == "":
		return "an empty file"
	}
	return "the file " + e.From
}
