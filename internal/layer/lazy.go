package layer

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bazel-contrib/rules_img/internal/layer/estargz"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// lazy is the index of layers that can be mounted lazily.
type lazy struct {
	chunked bool // zstd:chunked, not eStargz
	toc     []byte
	notes   map[string]string
}

// apart: a file of eStargz is read to its size, one of zstd:chunked to the end of its frame.
func (x *lazy) apart() bool { return x.chunked }

// members is the index itself, in eStargz. That of zstd:chunked is no part of the archive.
func (x *lazy) members(m *Map) ([]byte, error) {
	if x.chunked {
		var toc estargz.TOC
		err := x.list(m, &toc)
		x.toc = toc.Bytes()
		x.notes = map[string]string{estargz.TOCDigest: string(oci.DigestOf(x.toc))}
		return empty[:], err
	}
	// The header is written when the size is known. The index of a large layer is large: it is there once.
	toc := estargz.TOC{Before: make([]byte, block)}
	if err := x.list(m, &toc); err != nil {
		return nil, err
	}
	b := toc.Bytes()
	index := b[block:]
	x.notes = map[string]string{estargz.TOCDigest: string(oci.DigestOf(index))}
	size := int64(len(index))
	e := Entry{Path: estargz.Name, Size: size, Metadata: &Metadata{Mode: 0o444, Mtime: time.Unix(0, 0)}}
	if !ustar(b[:block], &e) {
		return nil, fmt.Errorf("estargz: the index has %d bytes: this is more than a tar archive can hold", size)
	}
	b = append(b, empty[:padded(size)-size]...)
	return append(b, empty[:]...), nil
}

func (x *lazy) footer(m *Map) ([]byte, error) {
	last := m.Frames[len(m.Frames)-1]
	x.notes[estargz.UncompressedSize] = strconv.FormatInt(last.Raw+last.RawSize, 10)
	if !x.chunked {
		return estargz.Footer(last.Blob), nil
	}
	b, notes, err := estargz.Chunked(x.toc, last.Blob+last.Size)
	for k, v := range notes {
		x.notes[k] = v
	}
	return b, err
}

func (x *lazy) annotations() map[string]string { return x.notes }

// list adds all members to the index, and checks what a mount needs that an archive does not.
func (x *lazy) list(m *Map, toc *estargz.TOC) error {
	toc.Grow(m.indexSize())
	seen := map[string]bool{}
	for _, member := range m.Members {
		switch {
		case member.Path == estargz.Name && !x.chunked:
			return fmt.Errorf("path /%s: is where eStargz keeps its index: name the file differently, or disable estargz", member.Path)
		case member.Kind == Link && !seen[member.Target]:
			return fmt.Errorf("path /%s: is a hard link to /%s, which the layer has not: such a layer cannot be mounted lazily", member.Path, member.Target)
		}
		seen[member.Path] = true
		for _, e := range x.describe(member, m.Frames) {
			if err := toc.Add(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// indexSize is about how large the index will be.
func (m *Map) indexSize() int {
	n := 0
	for _, member := range m.Members {
		n += 90 + len(member.Path) + len(member.Target) + 200*len(member.Chunks)
	}
	return n
}

var tocTypes = [...]string{
	File: "reg", Symlink: "symlink", Directory: "dir", Link: "hardlink", CharDevice: "char", BlockDevice: "block", Pipe: "fifo",
}

// describe returns a member, and an entry for each chunk of its content but the first.
func (x *lazy) describe(m *Member, frames []Placed) []estargz.Entry {
	e := estargz.Entry{
		Type: tocTypes[m.Kind], Name: m.header().Name, LinkName: m.Target, Mode: m.Mode, UID: m.UID, GID: m.GID, Uname: m.Uname, Gname: m.Gname,
		DevMajor: m.Major, DevMinor: m.Minor, Xattrs: xattrs(m.PAXRecords),
	}
	if !m.Mtime.IsZero() && m.Mtime.Unix() != 0 {
		e.ModTime = m.Mtime.UTC().Format(time.RFC3339)
	}
	if m.Kind != File {
		return []estargz.Entry{e}
	}
	if e.Size, e.Digest = m.Size, m.Sum; m.Size == 0 {
		e.Digest = oci.DigestOf(nil)
	}
	all := []estargz.Entry{e}
	for i, k := range m.Chunks {
		at := frames[k.Frame]
		chunk := estargz.Chunk{Offset: at.Blob, ChunkOffset: k.Offset, ChunkDigest: k.Digest}
		if x.chunked {
			chunk.EndOffset = at.Blob + at.Size
		}
		if len(m.Chunks) > 1 {
			chunk.ChunkSize = k.Size
		}
		if i > 0 {
			all = append(all, estargz.Entry{Type: "chunk", Name: e.Name})
		}
		all[i].Chunk = chunk
	}
	return all
}

func xattrs(records map[string]string) map[string][]byte {
	var all map[string][]byte
	for k, v := range records {
		if name, ok := strings.CutPrefix(k, "SCHILY.xattr."); ok {
			if all == nil {
				all = map[string][]byte{}
			}
			all[name] = []byte(v)
		}
	}
	return all
}

// gzipMembers is the compressor of eStargz: each frame is a gzip member.
type gzipMembers struct{ *deflate }

func (gzipMembers) head(to []byte) []byte                    { return to }
func (gzipMembers) tail(to []byte, _ uint32, _ int64) []byte { return to }
func (gzipMembers) checks() bool                             { return false }

func (g gzipMembers) frame(to, raw []byte) ([]byte, error) {
	to, err := g.deflate.frame(g.deflate.head(to), raw)
	return g.deflate.tail(to, crcOf(raw), int64(len(raw))), err
}
