package layer

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

const (
	// smallFile is the largest file that is read ahead whole.
	smallFile = 256 << 10
	// readAhead is how many entries are read ahead at most.
	readAhead = 64
)

// loaded is an entry whose content was read, if it is small.
type loaded struct {
	Entry
	content []byte
	sum     string // identity of the content, if another entry may have the same
}

// writeEntries writes the archive: small files are read ahead by a goroutine of its own.
func writeEntries(ctx context.Context, f *framer, entries []Entry) error {
	g, ctx := errgroup.WithContext(ctx)
	ahead := make(chan loaded, readAhead)
	g.Go(func() error {
		defer close(ahead)
		return load(ctx, entries, ahead)
	})
	g.Go(func() error {
		a := archive{framer: f, tar: tar.NewWriter(f), first: map[string]string{}, buffer: make([]byte, 256<<10)}
		for l := range ahead {
			if err := a.entry(l); err != nil {
				return fmt.Errorf("path /%s: %w", l.Path, err)
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		return a.tar.Close()
	})
	return g.Wait()
}

func load(ctx context.Context, entries []Entry, to chan<- loaded) error {
	sizes := map[int64]int{}
	for _, e := range entries {
		if e.Kind == File && e.Size > 0 {
			sizes[e.Size]++
		}
	}
	for _, e := range entries {
		l, err := loadOne(e, sizes[e.Size] > 1)
		if err != nil {
			return fmt.Errorf("path /%s: %w", e.Path, err)
		}
		select {
		case to <- l:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func loadOne(e Entry, hash bool) (l loaded, err error) {
	l.Entry = e
	if e.Kind != File || e.Size == 0 {
		return l, nil
	}
	if e.Size <= smallFile {
		if l.content, err = readSmall(e); err != nil {
			return l, err
		}
	}
	if hash {
		l.sum, err = identity(l)
	}
	return l, err
}

func readSmall(e Entry) ([]byte, error) {
	f, err := e.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, e.Size)
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, changed(e, err)
	}
	return b, nil
}

func changed(e Entry, err error) error {
	return fmt.Errorf("%s: has not the %d bytes that it had when the layer was begun: %w", e.From, e.Size, err)
}

// identity is the same for two entries that can be one file: same content, same metadata.
func identity(l loaded) (string, error) {
	sum := sha256.New()
	if l.content != nil {
		sum.Write(l.content)
	} else {
		f, err := l.open()
		if err != nil {
			return "", err
		}
		defer f.Close()
		if _, err := io.Copy(sum, f); err != nil {
			return "", err
		}
	}
	var records strings.Builder
	for _, k := range slices.Sorted(maps.Keys(l.PAXRecords)) {
		fmt.Fprintf(&records, "%q=%q ", k, l.PAXRecords[k])
	}
	return fmt.Sprintf("%x %o %d %d %q %q %d %s", sum.Sum(nil), l.Mode, l.UID, l.GID, l.Uname, l.Gname, l.Mtime.UnixNano(), records.String()), nil
}

// archive writes entries as tar members.
type archive struct {
	framer *framer
	tar    *tar.Writer
	first  map[string]string // path of the first entry of each identity
	buffer []byte
}

func (a *archive) entry(l loaded) error {
	h := l.header()
	if first, ok := a.first[l.sum]; ok && l.sum != "" {
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
		if err := a.framer.boundary(l.Path, 0); err != nil {
			return err
		}
		return a.tar.WriteHeader(h)
	}
	if l.sum != "" {
		a.first[l.sum] = l.Path
	}
	if err := a.framer.boundary(l.Path, h.Size); err != nil {
		return err
	}
	if err := a.tar.WriteHeader(h); err != nil {
		return err
	}
	if err := a.content(l); err != nil {
		return err
	}
	// The padding belongs to the file's frame, not to that of the next header.
	if err := a.tar.Flush(); err != nil {
		return err
	}
	return a.framer.end(h.Size)
}

func (a *archive) content(l loaded) error {
	if l.Kind != File || l.Size == 0 {
		return nil
	}
	if l.content != nil {
		_, err := a.tar.Write(l.content)
		return err
	}
	f, err := l.open()
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{a.tar}, io.LimitReader(struct{ io.Reader }{f}, l.Size), a.buffer)
	if err == nil && n < l.Size {
		err = changed(l.Entry, io.ErrUnexpectedEOF)
	}
	return err
}
