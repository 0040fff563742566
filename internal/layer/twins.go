package layer

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"maps"
)

// twins finds entries that can be hard links to an earlier one: same content, same metadata. Digests that are known are compared, and so
// are the files that paths lead to; neither needs reading. Otherwise the contents of what has the same size are compared: what is small
// by a sum of all of it, what is large by samples and then byte by byte. So a file that is like no other costs next to nothing.
type twins struct {
	entries []Entry
	of      []int32          // of each entry: the number of the one it is a link to, or one of those below
	read    chains[identity] // what was read and is no link
	sums    cipher.AEAD
	lookup  lookup
	buffers [2][]byte
}

// identity is the same for twins, and for few others.
type identity struct {
	size    int64
	content sum
	about   uint64
}

const (
	alone   = -1 // there is nothing like it
	unknown = -2 // its content will tell
)

// class is what is known of the entries of one size.
type class struct {
	n          int
	undigested bool // some have no digest
}

// sum is one of a content. It is that of GMAC with a key that nobody knows, which computes several times as fast as a cryptographic
// hash: the chance that two contents of smallFile, chosen without that key, have the same is 2⁻¹¹³.
type sum [16]byte

func newTwins(entries []Entry) (*twins, error) {
	var key sum
	rand.Read(key[:]) // never fails
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	sums, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	t := &twins{entries: entries, of: make([]int32, len(entries)), sums: sums}
	t.linkUnread()
	return t, nil
}

func (t *twins) close() { t.lookup.close() }

func hasContent(e *Entry) bool { return e.Kind == File && e.Size > 0 }

// linkUnread finds twins before anything is read: by digests among the entries of a size of which every digest is known, among the
// others by the files that they are.
func (t *twins) linkUnread() {
	classes := t.classes()
	var digests chains[string]
	var files chains[fileID]
	for i := range t.entries {
		e := &t.entries[i]
		c := classes[e.Size]
		switch {
		case !hasContent(e) || c.n < 2:
			t.of[i] = alone
		case !c.undigested:
			t.of[i] = linkKnown(t, &digests, e.Digest, int32(i), alone)
		case e.file == fileID{}:
			t.of[i] = unknown
		default:
			t.of[i] = linkKnown(t, &files, e.file, int32(i), unknown)
		}
	}
}

// linkKnown returns the number of the first twin of an entry, whose key only twins of its size share. When it is the first, it
// is as yet.
func linkKnown[K comparable](t *twins, firsts *chains[K], key K, number, yet int32) int32 {
	e := &t.entries[number]
	first := firsts.find(key, func(k int32) bool {
		o := &t.entries[k]
		return o.Size == e.Size && o.Offset == e.Offset && o.Metadata.same(e.Metadata)
	})
	if first >= 0 {
		return first
	}
	firsts.add(key, number)
	return yet
}

func (t *twins) classes() map[int64]class {
	all := map[int64]class{}
	for i := range t.entries {
		if e := &t.entries[i]; hasContent(e) {
			c := all[e.Size]
			all[e.Size] = class{c.n + 1, c.undigested || e.Digest == ""}
		}
	}
	return all
}

// isLink reports whether an entry is known to be a link, so that there is nothing to read.
func (t *twins) isLink(number int) bool { return t.of[number] >= 0 }

// mayRepeat reports whether only its content can tell if an entry has a twin.
func (t *twins) mayRepeat(number int) bool { return t.of[number] == unknown }

var nonce [12]byte // one for all sums: they are told nobody

// sum appends that of b to to, which has room for it.
func (t *twins) sum(to *sum, b []byte) { t.sums.Seal(to[:0], nonce[:], nil, b) }

// sample sums up the beginning, the middle and the end of a large file.
func (t *twins) sample(to *sum, e *Entry, files *lookup) error {
	const n = 4096
	var b [3 * n]byte
	for i, at := range []int64{0, e.Size/2 - n/2, e.Size - n} {
		if err := files.readAll(e, at, b[i*n:(i+1)*n]); err != nil {
			return err
		}
	}
	t.sum(to, b[:])
	return nil
}

// first returns the entry that l can be a link to, or nil when l is the first of its kind. It is called for one entry after the other.
func (t *twins) first(ctx context.Context, l loaded) (*Entry, error) {
	if t.mayRepeat(l.number) {
		if err := t.compare(ctx, l); err != nil {
			return nil, err
		}
	}
	first := t.of[l.number]
	if first < 0 {
		return nil, nil
	}
	if t.of[first] >= 0 { // the same file as one that turned out to be a link
		first = t.of[first]
	}
	return &t.entries[first], nil
}

// compare settles whether an entry is alone or a link.
func (t *twins) compare(ctx context.Context, l loaded) (err error) {
	id := identity{l.Size, l.sum, l.Metadata.brief()}
	first := t.read.find(id, func(k int32) bool {
		e := &t.entries[k]
		if err != nil || !e.Metadata.same(l.Metadata) {
			return false
		}
		if l.Size <= smallFile {
			return true
		}
		var same bool
		same, err = t.sameContent(ctx, e, l.Entry)
		return same
	})
	t.of[l.number] = first
	if first < 0 {
		t.read.add(id, int32(l.number))
	}
	return err
}

// sameContent compares two large files.
func (t *twins) sameContent(ctx context.Context, a, b *Entry) (bool, error) {
	if t.buffers[0] == nil {
		t.buffers = [2][]byte{make([]byte, smallFile), make([]byte, smallFile)}
	}
	for at := int64(0); at < a.Size; at += smallFile {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n := min(a.Size-at, smallFile)
		x, y := t.buffers[0][:n], t.buffers[1][:n]
		if err := errors.Join(t.lookup.readAll(a, at, x), t.lookup.readAll(b, at, y)); err != nil {
			return false, err
		}
		if !bytes.Equal(x, y) {
			return false, nil
		}
	}
	return true, nil
}

func (m *Metadata) same(o *Metadata) bool {
	return m == o || m.Mode == o.Mode && m.UID == o.UID && m.GID == o.GID && m.Uname == o.Uname && m.Gname == o.Gname &&
		m.Mtime.Equal(o.Mtime) && maps.Equal(m.PAXRecords, o.PAXRecords)
}

// brief is the same for metadata that is the same, and mostly another for others.
func (m *Metadata) brief() uint64 {
	h := uint64(len(m.PAXRecords))
	for _, n := range [...]int64{m.Mode, int64(m.UID), int64(m.GID), m.Mtime.Unix(), int64(m.Mtime.Nanosecond())} {
		h = (h ^ uint64(n)) * 0x9e3779b97f4a7c15
		h ^= h >> 32
	}
	return h ^ uint64(hashName(m.Uname)) ^ uint64(hashName(m.Gname))<<32
}
