// Package estargz has the formats of layers that can be mounted before they are there: eStargz, which is gzip, and zstd:chunked. In both, each
// file can be decompressed on its own, and an index says where, with the digest of every chunk. [TOC] makes the index,
// [Footer] and [Chunked] what leads to it.
//
// The law is the formats' own: the document eStargz of the stargz-snapshotter project, and what the containers/storage project documents
// of zstd:chunked. Who does not know them reads an ordinary layer.
package estargz

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Name is that of the archive's member that is the index of eStargz.
const Name = "stargz.index.json"

// Annotations of a layer's descriptor.
const (
	// TOCDigest is the digest of the index, as JSON.
	TOCDigest = "containerd.io/snapshot/stargz/toc.digest"
	// UncompressedSize is the size of the tar.
	UncompressedSize = "io.containers.estargz.uncompressed-size"

	// Of zstd:chunked, the digest and the place of the compressed index. containers/storage knows them by the first names, and
	// stargz-snapshotter by the second.
	manifestChecksum       = "io.github.containers.zstd-chunked.manifest-checksum"
	manifestPosition       = "io.github.containers.zstd-chunked.manifest-position"
	stargzManifestChecksum = "io.containers.zstd-chunked.manifest-checksum"
	stargzManifestPosition = "io.containers.zstd-chunked.manifest-position"
)

// TOC is the index, as JSON in the making. The zero value is empty.
type TOC struct {
	// Before are bytes that precede the JSON in what Bytes returns.
	Before []byte
	b      bytes.Buffer
	e      *json.Encoder
}

// Add adds an entry.
func (t *TOC) Add(e Entry) error {
	if t.e == nil {
		t.begin()
	} else {
		t.b.WriteByte(',')
	}
	return t.e.Encode(e)
}

// Grow makes room for n bytes.
func (t *TOC) Grow(n int) { t.b.Grow(n) }

func (t *TOC) begin() {
	t.b.Write(t.Before)
	t.b.WriteString(`{"version":1,"entries":[`)
	t.e = json.NewEncoder(&t.b)
	t.e.SetEscapeHTML(false)
}

// Bytes ends the index. It may be called once.
func (t *TOC) Bytes() []byte {
	if t.e == nil {
		t.begin()
	}
	t.b.WriteString("]}\n")
	return t.b.Bytes()
}

// Entry is a member of the archive, or a later chunk of the one before it.
type Entry struct {
	Type     string            `json:"type"` // dir reg symlink hardlink char block fifo chunk
	Name     string            `json:"name"`
	LinkName string            `json:"linkName,omitempty"`
	Mode     int64             `json:"mode,omitempty"`
	Size     int64             `json:"size,omitempty"`
	UID      int               `json:"uid,omitempty"`
	GID      int               `json:"gid,omitempty"`
	Uname    string            `json:"userName,omitempty"`
	Gname    string            `json:"groupName,omitempty"`
	ModTime  string            `json:"modtime,omitempty"` // RFC 3339
	DevMajor int64             `json:"devMajor,omitempty"`
	DevMinor int64             `json:"devMinor,omitempty"`
	Xattrs   map[string][]byte `json:"xattrs,omitempty"`
	Digest   oci.Digest        `json:"digest,omitempty"`
	Chunk
}

// Chunk is where the content of a reg or a chunk is.
type Chunk struct {
	Offset      int64      `json:"offset,omitempty"`    // in the blob
	EndOffset   int64      `json:"endOffset,omitempty"` // zstd:chunked only
	ChunkOffset int64      `json:"chunkOffset,omitempty"`
	ChunkSize   int64      `json:"chunkSize,omitempty"` // not when it is all of the file
	ChunkDigest oci.Digest `json:"chunkDigest,omitempty"`
}

// Footer is the end of an eStargz blob: an empty gzip member whose extra field says where the member with the index begins.
func Footer(toc int64) []byte {
	extra := fmt.Sprintf("SG\x16\x00%016xSTARGZ", toc)
	b := []byte{0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, byte(len(extra)), 0}
	b = append(b, extra...)
	return append(b, 1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0)
}

// Chunked is the end of a zstd:chunked blob, of which at bytes precede it: the index and the footer, in skippable frames. The annotations say
// where the index is.
func Chunked(toc []byte, at int64) ([]byte, map[string]string, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return nil, nil, err
	}
	defer z.Close()
	index := z.EncodeAll(toc, nil)
	at += skippableHeader
	var footer []byte
	for _, n := range []int64{at, int64(len(index)), int64(len(toc)), crfs} {
		footer = binary.LittleEndian.AppendUint64(footer, uint64(n))
	}
	footer = append(footer, "GnUlInUx"...)
	checksum := string(oci.DigestOf(index))
	position := fmt.Sprintf("%d:%d:%d:%d", at, len(index), len(toc), crfs)
	return skippable(skippable(nil, index), footer), map[string]string{
		manifestChecksum: checksum, stargzManifestChecksum: checksum,
		manifestPosition: position, stargzManifestPosition: position,
	}, nil
}

const (
	crfs            = 1 // the type of the index
	skippableHeader = 8
)

// skippable appends a skippable frame (RFC 8878, 3.1.2).
func skippable(to, content []byte) []byte {
	to = append(to, 0x50, 0x2a, 0x4d, 0x18)
	to = binary.LittleEndian.AppendUint32(to, uint32(len(content)))
	return append(to, content...)
}
