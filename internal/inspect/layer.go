package inspect

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/layer/estargz"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Layer is a layer of an image, or a blob of an artifact.
type Layer struct {
	Number      int               `json:"number"` // from 1
	MediaType   string            `json:"mediaType"`
	Digest      oci.Digest        `json:"digest"`
	Size        int64             `json:"size"`
	DiffID      oci.Digest        `json:"diffId,omitempty"`
	CreatedBy   string            `json:"createdBy,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	// Read is what the files are known by: the layer's index, or all of it; empty when they are not known.
	Read string `json:"read,omitempty"`
	// IndexError says why an index that the descriptor promises was of no use.
	IndexError string `json:"indexError,omitempty"`
	Unpacked   int64  `json:"unpacked"` // bytes of all files
	// WhitedOut and Replaced are the bytes that no container sees, because a later layer has removed or replaced them.
	WhitedOut int64  `json:"whitedOut"`
	Replaced  int64  `json:"replaced"`
	Files     []File `json:"files,omitempty"`

	descriptor oci.Descriptor
}

// How the files of a layer became known.
const (
	ReadIndex = "index"
	ReadWhole = "whole"
)

// Types of files.
const (
	TypeFile      = "file"
	TypeDirectory = "directory"
	TypeSymlink   = "symlink"
	TypeLink      = "hardlink"
	TypeWhiteout  = "whiteout" // removes its path of the layers below
	TypeOpaque    = "opaque"   // removes what is in its path of the layers below
)

// File is a member of a layer.
type File struct {
	Path   string            `json:"path"` // from the root, without a slash at its ends
	Type   string            `json:"type"`
	Mode   Mode              `json:"mode"`
	UID    int               `json:"uid"`
	GID    int               `json:"gid"`
	Size   int64             `json:"size,omitempty"`
	Digest oci.Digest        `json:"digest,omitempty"` // of the content of a file that is not empty
	Target string            `json:"target,omitempty"` // of links
	Device string            `json:"device,omitempty"` // major:minor
	Xattrs map[string]string `json:"xattrs,omitempty"` // name → digest of the value
}

// Mode is what may be done with a file, in JSON as "0755".
type Mode int64

// MarshalText implements [encoding.TextMarshaler].
func (m Mode) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%04o", int64(m)), nil }

// listing is what is known of a layer.
type listing struct {
	files    []File
	read     string
	unpacked int64
	index    error // why the index was of no use
}

const (
	maxHeld   = 1 << 30 // bytes of the memory that all files take, about: a million files
	fileCost  = 1000
	maxWindow = 128 << 20 // of a zstd frame, as elsewhere here
	maxDirs   = 1000      // deeper than any file system allows
)

// isArchive reports whether a blob of this type is an archive of files.
func isArchive(mediaType string) bool {
	t := oci.ToOCI(mediaType)
	return strings.HasPrefix(t, "application/vnd.oci.image.layer.") || strings.HasSuffix(t, ".tar") || strings.HasSuffix(t, ".tar+gzip") ||
		strings.HasSuffix(t, ".tar+zstd") || strings.HasSuffix(t, ".tar.gzip")
}

// list lists the files of a layer. Each is read once.
func (r *Reader) list(ctx context.Context, d oci.Descriptor) (*listing, error) {
	r.mu.Lock()
	if r.layers == nil {
		r.layers = map[oci.Digest]func() (*listing, error){}
	}
	once, ok := r.layers[d.Digest]
	if !ok {
		once = sync.OnceValues(func() (*listing, error) {
			l, indexErr := r.byIndex(ctx, d)
			if indexErr == nil || ctx.Err() != nil {
				return l, indexErr
			}
			l, err := r.whole(ctx, d)
			if err == nil && !errors.Is(indexErr, errNoIndex) {
				l.index = indexErr
			}
			return l, err
		})
		r.layers[d.Digest] = once
	}
	r.mu.Unlock()
	l, err := once()
	if err != nil {
		return nil, fmt.Errorf("layer %s: %w", d.Digest, err)
	}
	return l, nil
}

var errNoIndex = errors.New("has no index that can be read alone")

// byIndex lists a layer that has an index by it alone.
func (r *Reader) byIndex(ctx context.Context, d oci.Descriptor) (*listing, error) {
	ranger, ok := r.Source.(blob.RangeOpener)
	if !ok || !estargz.Indexed(d) {
		return nil, errNoIndex
	}
	l := &listing{read: ReadIndex}
	for e, err := range estargz.Read(d, ranges(ctx, ranger, d)) {
		if err != nil {
			return nil, err
		}
		if e.Type == "chunk" {
			continue
		}
		if err := r.add(l, ofIndex(e)); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// ranges reads a layer of a source from the middle.
func ranges(ctx context.Context, s blob.RangeOpener, d oci.Descriptor) estargz.Ranges {
	return func(offset, size int64) (io.ReadCloser, error) {
		r, err := s.OpenRange(ctx, d, offset)
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{io.LimitReader(r, size), r}, nil
	}
}

var indexTypes = map[string]string{
	"reg": TypeFile, "dir": TypeDirectory, "symlink": TypeSymlink, "hardlink": TypeLink, "char": "char", "block": "block", "fifo": "fifo",
}

func ofIndex(e estargz.Entry) File {
	f := File{Path: e.Name, Type: indexTypes[e.Type], Mode: Mode(e.Mode & 0o7777), UID: e.UID, GID: e.GID, Target: e.LinkName}
	switch f.Type {
	case TypeFile:
		f.Size, f.Digest = e.Size, e.Digest
	case "char", "block":
		f.Device = fmt.Sprintf("%d:%d", e.DevMajor, e.DevMinor)
	}
	for k, v := range e.Xattrs {
		f.xattr(k, v)
	}
	return f
}

func (f *File) xattr(name string, value []byte) {
	if f.Xattrs == nil {
		f.Xattrs = map[string]string{}
	}
	f.Xattrs[name] = string(oci.DigestOf(value))
}

// add adds a file, whose path is as in the archive.
func (r *Reader) add(l *listing, f File) error {
	if f.Type == "" {
		return fmt.Errorf("%q: is of a type that layers do not have", f.Path)
	}
	cost := fileCost + int64(len(f.Path)+len(f.Target)+100*strings.Count(f.Path, "/")+150*len(f.Xattrs))
	if r.held.Add(cost) > maxHeld {
		return fmt.Errorf("has, with the layers before it, more files than fit into %d MiB of memory", maxHeld>>20)
	}
	raw := f.Path
	f.Path = clean(raw)
	if strings.Count(f.Path, "/") > maxDirs {
		return fmt.Errorf("%.100q…: is deeper than %d directories", f.Path, maxDirs)
	}
	if f.Type == TypeLink {
		f.Target = clean(f.Target)
	}
	f.whiteout()
	if f.Type != TypeFile || f.Size == 0 {
		f.Digest = ""
	}
	if f.Size < 0 {
		return fmt.Errorf("%q: has the size %d", raw, f.Size)
	}
	l.files = append(l.files, f)
	l.unpacked += f.Size
	return nil
}

// clean makes the name of a member a path from the root: what would leave it stays within, as where an archive is unpacked with care.
func clean(name string) string { return strings.TrimPrefix(path.Join("/", name), "/") }

const whiteoutPrefix, opaqueName = ".wh.", ".wh..wh..opq"

// whiteout recognises members that only remove others.
func (f *File) whiteout() {
	dir, base := path.Split(f.Path)
	name, ok := strings.CutPrefix(base, whiteoutPrefix)
	switch {
	case base == opaqueName:
		*f = File{Path: strings.TrimSuffix(dir, "/"), Type: TypeOpaque}
	case ok && name != "" && !strings.HasPrefix(base, ".wh..wh."):
		*f = File{Path: dir + name, Type: TypeWhiteout}
	}
}

// whole lists a layer by reading it, verified to its last byte.
func (r *Reader) whole(ctx context.Context, d oci.Descriptor) (*listing, error) {
	b, err := blob.Verify("image", r.Source).Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	l := &listing{read: ReadWhole}
	_, err = unpack(ctx, b, func(f File) error { return r.add(l, f) })
	if err != nil {
		return nil, err
	}
	return l, nil
}

// unpacked is what an archive turned out to be.
type unpacked struct {
	compression string // gzip, zstd or empty
	diffID      oci.Digest
}

// unpack reads an archive to the end of its blob, whatever comes after the archive's own end.
func unpack(ctx context.Context, packed io.Reader, each func(File) error) (u unpacked, err error) {
	buffered := bufio.NewReaderSize(blob.Reader(ctx, packed), 128<<10)
	plain, closer, err := u.decompress(buffered)
	if err != nil {
		return u, err
	}
	defer closer()
	hash := sha256.New()
	tee := io.TeeReader(plain, hash)
	if err := members(tee, each); err != nil {
		return u, err
	}
	if _, err := io.Copy(io.Discard, tee); err != nil {
		return u, fmt.Errorf("behind the archive's end: %w", err)
	}
	if _, err := io.Copy(io.Discard, buffered); err != nil {
		return u, err
	}
	u.diffID = oci.DigestOfSum(hash.Sum(nil))
	return u, nil
}

func (u *unpacked) decompress(r *bufio.Reader) (io.Reader, func(), error) {
	head, err := r.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case len(head) > 1 && head[0] == 0x1f && head[1] == 0x8b:
		u.compression = "gzip"
		z, err := gzip.NewReader(r)
		return z, func() {}, err
	case len(head) == 4 && (string(head) == "\x28\xb5\x2f\xfd" || head[0]>>4 == 5 && string(head[1:]) == "\x2a\x4d\x18"):
		u.compression = "zstd"
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return r, func() {}, nil
}

func members(r io.Reader, each func(File) error) error {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("is no tar archive, or a damaged one: %w", err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		f, err := ofHeader(h, t)
		if err == nil {
			err = each(f)
		}
		if err != nil {
			return err
		}
	}
}

var tarTypes = map[byte]string{
	tar.TypeReg: TypeFile, tar.TypeCont: TypeFile, tar.TypeGNUSparse: TypeFile, tar.TypeDir: TypeDirectory, tar.TypeSymlink: TypeSymlink,
	tar.TypeLink: TypeLink, tar.TypeChar: "char", tar.TypeBlock: "block", tar.TypeFifo: "fifo",
}

func ofHeader(h *tar.Header, content io.Reader) (f File, err error) {
	f = File{Path: h.Name, Type: tarTypes[h.Typeflag], Mode: Mode(h.Mode & 0o7777), UID: h.Uid, GID: h.Gid, Target: h.Linkname}
	switch f.Type {
	case TypeFile:
		f.Size, f.Target = h.Size, ""
		f.Digest, err = oci.ReadDigest(content)
	case "char", "block":
		f.Device = fmt.Sprintf("%d:%d", h.Devmajor, h.Devminor)
	}
	for k, v := range h.PAXRecords {
		if name, ok := strings.CutPrefix(k, "SCHILY.xattr."); ok {
			f.xattr(name, []byte(v))
		}
	}
	return f, err
}
