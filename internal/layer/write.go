package layer

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// readSize is how much of a large file is read at once.
const readSize = 256 << 10

// archive writes entries as tar members.
type archive struct {
	framer  *framer
	headers headers
	twins   *twins
	index   indexer // may be nil
	members []*Member
}

// writeEntries writes the archive, of whose entries the small ones are read ahead.
func writeEntries(ctx context.Context, f *framer, entries []Entry, index indexer) ([]*Member, error) {
	none := &Metadata{}
	for i := range entries {
		if e := &entries[i]; e.Metadata == nil {
			e.Metadata = none
		}
	}
	t, err := newTwins(entries)
	if err != nil {
		return nil, err
	}
	defer t.close()
	a := archive{framer: f, index: index, twins: t}
	if err := readAhead(ctx, a.twins, a.entry); err != nil {
		return nil, err
	}
	if index != nil {
		return a.members, f.cut()
	}
	_, err = f.Write(empty[:])
	return nil, err
}

func (a *archive) entry(l loaded) error {
	first, err := a.twins.first(a.framer.ctx, l)
	if err == nil {
		if first != nil {
			l.Entry = linkTo(l.Entry, first)
		}
		err = a.member(l)
	}
	if err != nil {
		return fmt.Errorf("path /%s: %w", l.Path, err)
	}
	return nil
}

// linkTo is the hard link that an entry is instead of a second copy.
func linkTo(e, first *Entry) *Entry {
	link := *e
	link.Kind, link.Target, link.Size = Link, first.Path, 0
	return &link
}

func (a *archive) member(l loaded) error {
	header, err := a.headers.header(l.Entry)
	if err != nil {
		return err
	}
	if err := a.framer.boundary(l.Path, len(header), l.Size); err != nil {
		return err
	}
	if _, err := a.framer.Write(header); err != nil {
		return err
	}
	m := a.indexed(l.Entry)
	if l.Kind == File && l.Size > 0 {
		if err := a.content(l, m); err != nil {
			return err
		}
	}
	// The padding belongs to the file's frame, not to that of the next header.
	if _, err := a.framer.Write(empty[:padded(l.Size)-l.Size]); err != nil {
		return err
	}
	return a.framer.end()
}

// indexed keeps a member for the index, if there is one.
func (a *archive) indexed(e *Entry) *Member {
	if a.index == nil {
		return nil
	}
	m := &Member{Entry: e}
	a.members = append(a.members, m)
	return m
}

func (a *archive) content(l loaded, m *Member) error {
	if m == nil {
		return a.copy(l, nil)
	}
	a.framer.part()
	var sum hash.Hash
	if l.Size >= largeFile {
		sum = sha256.New()
	}
	a.framer.beginContent(m)
	if err := a.copy(l, sum); err != nil {
		return err
	}
	a.framer.endContent()
	if sum != nil {
		m.Sum = oci.DigestOfSum(sum.Sum(nil))
	}
	if a.index.apart() {
		a.framer.part()
	}
	return nil
}

// copy writes the content, to sum too if that is not nil.
func (a *archive) copy(l loaded, sum hash.Hash) error {
	if l.content != nil {
		_, err := a.framer.Write(l.content)
		return err
	}
	f, err := l.open()
	if err != nil {
		return err
	}
	defer f.Close()
	for left := l.Size; left > 0; {
		room, err := a.framer.room(int(min(left, readSize)))
		if err != nil {
			return err
		}
		if _, err := io.ReadFull(f, room); err != nil {
			return changed(l.Entry, err)
		}
		if sum != nil {
			sum.Write(room)
		}
		left -= int64(len(room))
		if err := a.framer.grow(len(room)); err != nil {
			return err
		}
	}
	return nil
}

func changed(e *Entry, err error) error {
	return fmt.Errorf("%s: has not the %d bytes that it had when the layer was begun: %w", e.From, e.Size, err)
}
