package layer

import (
	"archive/tar"
	"cmp"
	"fmt"
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
	// From is the file with the content of a File.
	From string
	// Size is the content's, in bytes.
	Size int64
	// Target is the text of a Symlink.
	Target string
	Metadata
}

// Kind is what an entry is.
type Kind int

// The kinds of entries.
const (
	File Kind = iota
	Symlink
	Directory
)

// Metadata of an entry.
type Metadata struct {
	Mode         int64 // permission bits, with setuid and its like
	UID, GID     int
	Uname, Gname string
	Mtime        time.Time
	PAXRecords   map[string]string
}

// header is the entry's tar header; the type is that of its kind.
func (e Entry) header() *tar.Header {
	h := &tar.Header{
		Typeflag: tar.TypeReg, Name: e.Path, Size: e.Size, Mode: e.Mode,
		Uid: e.UID, Gid: e.GID, Uname: e.Uname, Gname: e.Gname, ModTime: e.Mtime, PAXRecords: e.PAXRecords,
	}
	switch e.Kind {
	case Symlink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.Target
	case Directory:
		h.Typeflag, h.Name = tar.TypeDir, e.Path+"/"
	}
	return h
}

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

// comparePaths orders paths component by component, so that whatever lies below a directory follows it at once.
func comparePaths(a, b string) int {
	for a != "" && b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, "/")
		y, b, _ = strings.Cut(b, "/")
		if c := cmp.Compare(x, y); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// arrange sorts entries and checks that they fit together: one for each path, unless they are the same, and nothing below
// what is no directory.
func arrange(entries []Entry) ([]Entry, error) {
	slices.SortStableFunc(entries, func(a, b Entry) int { return comparePaths(a.Path, b.Path) })
	out := entries[:0:0]
	for _, e := range entries {
		if len(out) > 0 {
			last := out[len(out)-1]
			if last.Path == e.Path {
				if last.same(e) {
					continue
				}
				return nil, fmt.Errorf("path /%s: is given twice: %s, and %s", e.Path, last.origin(), e.origin())
			}
		}
		out = append(out, e)
	}
	return out, checkParents(out)
}

// checkParents looks back along the sorted list: what is above an entry precedes it.
func checkParents(entries []Entry) error {
	var above []Entry
	for _, e := range entries {
		for len(above) > 0 && !strings.HasPrefix(e.Path, above[len(above)-1].Path+"/") {
			above = above[:len(above)-1]
		}
		if len(above) > 0 && above[len(above)-1].Kind != Directory {
			p := above[len(above)-1]
			return fmt.Errorf("path /%s: %s, lies below /%s, which is no directory: %s", e.Path, e.origin(), p.Path, p.origin())
		}
		above = append(above, e)
	}
	return nil
}

func (e Entry) same(o Entry) bool {
	return e.Kind == o.Kind && e.From == o.From && e.Target == o.Target
}

// origin says where an entry comes from, for messages.
func (e Entry) origin() string {
	switch {
	case e.Kind == Symlink:
		return fmt.Sprintf("a symlink to %q", e.Target)
	case e.Kind == Directory:
		return "a directory"
	case e.From == "":
		return "an empty file"
	}
	return "the file " + e.From
}
