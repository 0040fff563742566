package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/bazel-contrib/rules_img/internal/layer"
	"github.com/bazel-contrib/rules_img/internal/layer/estargz"
)

const (
	// maxMetadata bounds what is kept of all headers, in bytes, since that is all in memory.
	maxMetadata = 1 << 30
	// entryCost is about what an entry takes besides its strings.
	entryCost = 512
	// maxSparse bounds the size of all sparse files, which are written out in full: an archive that claims more is a mistake or an attack.
	maxSparse = 16 << 30
)

// Entries takes the archive apart, in the order of [layer.Write]. What is given twice is there once, as the archive says it last, and hard
// links are files of their own again. Contents that are not in the file as they are go to spool, which must stay open and in place
// as long as the entries are in use.
func (a *Archive) Entries(ctx context.Context, spool *os.File) ([]layer.Entry, error) {
	return a.entries(ctx, spool, maxSparse)
}

func (a *Archive) entries(ctx context.Context, spool *os.File, sparse int64) ([]layer.Entry, error) {
	in, err := a.open(nil)
	if err != nil {
		return nil, a.named(err)
	}
	defer in.Close()
	t := taker{archive: a, spool: spool, sparse: sparse, at: map[string]int{}}
	if err := t.takeAll(a.scan(ctx, in)); err != nil {
		return nil, a.named(err)
	}
	entries, err := layer.Arrange(ctx, t.entries)
	if err != nil {
		return nil, a.named(err)
	}
	return entries, nil
}

// taker gathers entries.
type taker struct {
	archive  *Archive
	spool    *os.File
	sparse   int64 // how large all sparse files may be
	holes    int64 // how large those are that were taken
	spooled  int64
	entries  []layer.Entry
	at       map[string]int // index by path
	global   map[string]string
	metadata int64
}

func (t *taker) takeAll(s *scanner) error {
	for {
		h, err := s.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := t.take(s, h); err != nil {
			return fmt.Errorf("byte %d: %q: %w", s.at, h.Name, err)
		}
	}
}

func (t *taker) take(s *scanner, h *tar.Header) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return t.setGlobal(h.PAXRecords)
	}
	e, err := t.entry(h)
	if err != nil {
		return err
	}
	if e.Path == estargz.Name {
		return nil // is the index of the archive as it was
	}
	t.metadata += entryCost + int64(len(h.Name)+len(h.Linkname))
	for k, v := range e.PAXRecords {
		t.metadata += int64(len(k) + len(v))
	}
	if t.metadata > maxMetadata {
		return fmt.Errorf("the archive has more names and attributes than fit into %d MiB", maxMetadata>>20)
	}
	if e.Kind == layer.File && e.Size > 0 {
		if err := t.content(s, h, &e); err != nil {
			return err
		}
	}
	t.put(e)
	return nil
}

// put adds an entry. A hard link to one that is there becomes like it, with the metadata that both share.
func (t *taker) put(e layer.Entry) {
	if e.Kind == layer.Link {
		if i, ok := t.at[e.Target]; ok {
			p := e.Path
			e = t.entries[i]
			e.Path = p
		}
	}
	if i, ok := t.at[e.Path]; ok {
		t.entries[i] = e
		return
	}
	t.at[e.Path] = len(t.entries)
	t.entries = append(t.entries, e)
}

// content says where the content is, and puts it there if it is not in the file as it is.
func (t *taker) content(s *scanner, h *tar.Header, e *layer.Entry) error {
	if t.archive.format == layer.None && !isSparse(h) {
		e.From, e.Offset = t.archive.path, s.raw.n.Load()
		return nil
	}
	if isSparse(h) {
		if h.Size > t.sparse-t.holes {
			return fmt.Errorf("is a sparse file of %d bytes: written out in full, all of an archive must not be larger than %d", h.Size, t.sparse)
		}
		t.holes += h.Size
	}
	if t.spooled == 0 { // what begins at 0 is a whole file
		if _, err := t.spool.Write([]byte{0}); err != nil {
			return err
		}
		t.spooled++
	}
	e.From, e.Offset = t.spool.Name(), t.spooled
	if err := s.content(t.spool); err != nil {
		return err
	}
	t.spooled += e.Size
	return nil
}

func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

var kinds = map[byte]layer.Kind{
	tar.TypeReg: layer.File, tar.TypeCont: layer.File, tar.TypeGNUSparse: layer.File, tar.TypeLink: layer.Link, tar.TypeSymlink: layer.Symlink,
	tar.TypeDir: layer.Directory, tar.TypeChar: layer.CharDevice, tar.TypeBlock: layer.BlockDevice, tar.TypeFifo: layer.Pipe,
}

func (t *taker) entry(h *tar.Header) (e layer.Entry, err error) {
	kind, ok := kinds[h.Typeflag]
	if !ok {
		return e, fmt.Errorf("is of a type that layers do not have: %q", h.Typeflag)
	}
	p, err := layer.CleanPath(h.Name)
	if err != nil {
		return e, err
	}
	e = layer.Entry{Path: p, Kind: kind, Metadata: &layer.Metadata{
		Mode: h.Mode & 0o7777, UID: h.Uid, GID: h.Gid, Uname: h.Uname, Gname: h.Gname, Mtime: h.ModTime, PAXRecords: t.records(h.PAXRecords),
	}}
	switch kind {
	case layer.File:
		e.Size = h.Size
	case layer.Symlink:
		e.Target = h.Linkname
	case layer.Link:
		e.Target, err = layer.CleanPath(h.Linkname)
	case layer.CharDevice, layer.BlockDevice:
		e.Major, e.Minor = h.Devmajor, h.Devminor
	}
	if err != nil {
		return e, err
	}
	return e, t.applyGlobal(&e, h.PAXRecords)
}

// setGlobal keeps records that apply to all later members. An empty value ends one.
func (t *taker) setGlobal(records map[string]string) error {
	if records == nil { // this is how archive/tar says so
		return errors.New("is a global header with records that are not valid")
	}
	if t.global == nil {
		t.global = map[string]string{}
	}
	for k, v := range records {
		if t.global[k] = v; v == "" {
			delete(t.global, k)
		}
	}
	return nil
}

// applyGlobal sets what a header does not say itself. The size and the names of a file are nothing to share.
func (t *taker) applyGlobal(e *layer.Entry, own map[string]string) (err error) {
	for k, v := range t.global {
		if _, ok := own[k]; ok {
			continue
		}
		switch k {
		case "uid":
			e.UID, err = strconv.Atoi(v)
		case "gid":
			e.GID, err = strconv.Atoi(v)
		case "uname":
			e.Uname = v
		case "gname":
			e.Gname = v
		case "mtime":
			e.Mtime, err = parseTime(v)
		}
		if err != nil {
			return fmt.Errorf("global PAX record %s=%q: %w", k, v, err)
		}
	}
	return nil
}

func parseTime(s string) (time.Time, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.Abs(f) > 1e12 {
		return time.Time{}, errors.New("is no time")
	}
	seconds := math.Floor(f)
	return time.Unix(int64(seconds), int64((f-seconds)*1e9)), nil
}

// records are those that say something of the file itself, and not of the archive.
func (t *taker) records(own map[string]string) map[string]string {
	var kept map[string]string
	for _, from := range []map[string]string{t.global, own} {
		for k, v := range from {
			if !strings.HasPrefix(k, "SCHILY.xattr.") && !strings.HasPrefix(k, "SCHILY.acl.") && k != "SCHILY.fflags" {
				continue
			}
			if kept == nil {
				kept = map[string]string{}
			}
			kept[k] = v
		}
	}
	return kept
}
