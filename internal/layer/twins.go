package layer

import (
	"bytes"
	"context"
	"hash/maphash"
	"io"
	"maps"
)

// twins finds entries that can be hard links to an earlier one: same content, same metadata. Digests that are known are compared;
// otherwise what has the same size gets a quick hash, and what has the same hash is compared byte by byte. So a file that is
// like no other costs next to nothing, and the answer is exact.
type twins struct {
	entries []Entry
	classes map[int64]class // by size
	links   map[int]*Entry  // known by digests before anything is read
	firsts  map[identity][]*Entry
	seed    maphash.Seed
	buffers [2][]byte
}

// class is what is known of the entries of one size.
type class struct {
	n          int
	undigested bool // some have no digest
}

// identity is the same for twins, and for few others.
type identity struct {
	size           int64
	content, about uint64
}

func newTwins(entries []Entry) *twins {
	t := &twins{entries: entries, classes: map[int64]class{}, firsts: map[identity][]*Entry{}, seed: maphash.MakeSeed()}
	digests := false
	for i := range entries {
		if e := &entries[i]; hasContent(e) {
			c := t.classes[e.Size]
			t.classes[e.Size] = class{c.n + 1, c.undigested || e.Digest == ""}
			digests = digests || e.Digest != ""
		}
	}
	if digests {
		t.linkByDigest()
	}
	return t
}

func hasContent(e *Entry) bool { return e.Kind == File && e.Size > 0 }

// linkByDigest finds the twins among sizes of which every digest is known.
func (t *twins) linkByDigest() {
	t.links = map[int]*Entry{}
	firsts := map[string][]*Entry{}
	for i := range t.entries {
		e := &t.entries[i]
		if c := t.classes[e.Size]; !hasContent(e) || c.n < 2 || c.undigested {
			continue
		}
		if first := find(firsts[e.Digest], e); first != nil {
			t.links[i] = first
		} else {
			firsts[e.Digest] = append(firsts[e.Digest], e)
		}
	}
}

func find(firsts []*Entry, e *Entry) *Entry {
	for _, first := range firsts {
		if first.Metadata.same(&e.Metadata) {
			return first
		}
	}
	return nil
}

// known reports whether an entry is known to be a link, so that there is nothing to read.
func (t *twins) known(number int) bool { return t.links[number] != nil }

// mayRepeat reports whether only its content can tell if an entry has a twin.
func (t *twins) mayRepeat(e *Entry) bool {
	c := t.classes[e.Size]
	return c.n > 1 && c.undigested
}

func (t *twins) hash(b []byte) uint64 { return maphash.Bytes(t.seed, b) }

// sample hashes the beginning, the middle and the end of a large file.
func (t *twins) sample(e *Entry) (uint64, error) {
	const n = 4096
	var b [3 * n]byte
	for i, at := range []int64{0, e.Size/2 - n/2, e.Size - n} {
		got, err := readFile(e.From, e.Offset+at, b[i*n:(i+1)*n])
		if err != nil {
			return 0, err
		}
		if got < n {
			return 0, changed(e, io.ErrUnexpectedEOF)
		}
	}
	return t.hash(b[:]), nil
}

// first returns the entry that l can be a link to, or nil when l is the first of its kind.
func (t *twins) first(ctx context.Context, l loaded) (*Entry, error) {
	if first := t.links[l.number]; first != nil {
		return first, nil
	}
	if !hasContent(l.Entry) || !t.mayRepeat(l.Entry) {
		return nil, nil
	}
	id := identity{l.Size, l.hash, l.Metadata.hash(t.seed)}
	for _, first := range t.firsts[id] {
		if !first.Metadata.same(&l.Metadata) {
			continue
		}
		if same, err := t.sameContent(ctx, first, l); err != nil || same {
			return first, err
		}
	}
	t.firsts[id] = append(t.firsts[id], l.Entry)
	return nil, nil
}

// sameContent compares with a file that was written before.
func (t *twins) sameContent(ctx context.Context, first *Entry, l loaded) (bool, error) {
	if t.buffers[0] == nil {
		t.buffers = [2][]byte{make([]byte, smallFile), make([]byte, smallFile)}
	}
	for at := int64(0); at < l.Size; at += smallFile {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n := min(l.Size-at, smallFile)
		a, err := t.part(0, first, at, n)
		if err != nil {
			return false, err
		}
		b := l.content
		if b == nil {
			if b, err = t.part(1, l.Entry, at, n); err != nil {
				return false, err
			}
		}
		if !bytes.Equal(a, b) {
			return false, nil
		}
	}
	return true, nil
}

func (t *twins) part(buffer int, e *Entry, at, n int64) ([]byte, error) {
	b := t.buffers[buffer][:n]
	got, err := readFile(e.From, e.Offset+at, b)
	if err == nil && got < len(b) {
		err = changed(e, io.ErrUnexpectedEOF)
	}
	return b, err
}

func (m *Metadata) same(o *Metadata) bool {
	return m.Mode == o.Mode && m.UID == o.UID && m.GID == o.GID && m.Uname == o.Uname && m.Gname == o.Gname &&
		m.Mtime.Equal(o.Mtime) && maps.Equal(m.PAXRecords, o.PAXRecords)
}

// hash is the same for metadata that is the same.
func (m *Metadata) hash(seed maphash.Seed) uint64 {
	return maphash.Comparable(seed, struct {
		mode         int64
		uid, gid     int
		uname, gname string
		mtime        int64
		records      int
	}{m.Mode, m.UID, m.GID, m.Uname, m.Gname, m.Mtime.UnixNano(), len(m.PAXRecords)})
}
