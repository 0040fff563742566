package estargz

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

const (
	maxPacked = 64 << 20  // of an index, which is held in memory: that of a million files is smaller
	maxIndex  = 512 << 20 // of an index as JSON, which is not
)

// Ranges opens size bytes of a layer, beginning at offset.
type Ranges func(offset, size int64) (io.ReadCloser, error)

// Indexed reports whether a layer's descriptor promises an index.
func Indexed(d oci.Descriptor) bool {
	_, chunked := position(d)
	return chunked || d.Annotations[TOCDigest] != ""
}

// Read yields the entries of a layer's index, which the descriptor promises, and reads nothing else of the layer. The index is checked
// against the descriptor before the first entry. It ends with the first error.
func Read(d oci.Descriptor, layer Ranges) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		open, err := index(d, layer)
		if err != nil {
			yield(Entry{}, fmt.Errorf("index of the layer %s: %w", d.Digest, err))
			return
		}
		r, err := open()
		if err == nil {
			defer r.Close()
			err = entries(r, func(e Entry) bool { return yield(e, nil) })
		}
		if err != nil { // which is of what was read, and no trouble with reading
			yield(Entry{}, fmt.Errorf("index of the layer %s: %v", d.Digest, err))
		}
	}
}

// opener opens the JSON of an index.
type opener func() (io.ReadCloser, error)

func index(d oci.Descriptor, layer Ranges) (opener, error) {
	open, err := unchecked(d, layer)
	if err != nil {
		return nil, err
	}
	want := d.Annotations[TOCDigest]
	if want == "" {
		return open, nil // zstd:chunked has another checksum, of what is compressed
	}
	got, err := digestOf(open)
	if err != nil {
		return nil, fmt.Errorf("is damaged: %v", err)
	}
	if string(got) != want {
		return nil, fmt.Errorf("has the digest %s, and the annotation %s says %s", got, TOCDigest, want)
	}
	return open, nil
}

func digestOf(open opener) (oci.Digest, error) {
	r, err := open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	return oci.ReadDigest(r)
}

func unchecked(d oci.Descriptor, layer Ranges) (opener, error) {
	if at, chunked := position(d); chunked {
		return ofChunked(d, at, layer)
	}
	return ofStargz(d, layer)
}

// position is where zstd:chunked has its index, if a descriptor says so.
func position(d oci.Descriptor) (string, bool) {
	for _, name := range []string{manifestPosition, stargzManifestPosition} {
		if at := d.Annotations[name]; at != "" {
			return at, true
		}
	}
	return "", false
}

func ofChunked(d oci.Descriptor, at string, layer Ranges) (opener, error) {
	offset, size, err := parsePosition(at)
	if err != nil {
		return nil, fmt.Errorf("annotation %s: %q: %w", manifestPosition, at, err)
	}
	packed, err := part(d, layer, offset, size)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{manifestChecksum, stargzManifestChecksum} {
		if want := d.Annotations[name]; want != "" && want != string(oci.DigestOf(packed)) {
			return nil, fmt.Errorf("has the digest %s, and the annotation %s says %s", oci.DigestOf(packed), name, want)
		}
	}
	return func() (io.ReadCloser, error) {
		z, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxIndex))
		if err != nil {
			return nil, err
		}
		return bounded{io.LimitReader(z, maxIndex), z.Close}, nil
	}, nil
}

// parsePosition reads OFFSET:SIZE:RAW SIZE:TYPE.
func parsePosition(s string) (offset, size int64, err error) {
	var n [4]int64
	parts := strings.Split(s, ":")
	if len(parts) != len(n) {
		return 0, 0, errors.New("want four numbers")
	}
	for i, part := range parts {
		if n[i], err = strconv.ParseInt(part, 10, 64); err != nil || n[i] < 0 {
			return 0, 0, fmt.Errorf("%q is no such number", part)
		}
	}
	if n[3] != crfs {
		return 0, 0, fmt.Errorf("an index of the type %d is not known here", n[3])
	}
	return n[0], n[1], nil
}

func ofStargz(d oci.Descriptor, layer Ranges) (opener, error) {
	footer, err := part(d, layer, d.Size-footerSize, footerSize)
	if err != nil {
		return nil, err
	}
	offset, err := parseFooter(footer)
	if err != nil {
		return nil, err
	}
	packed, err := part(d, layer, offset, d.Size-footerSize-offset)
	if err != nil {
		return nil, err
	}
	return func() (io.ReadCloser, error) { return member(packed) }, nil
}

// member is the archive's member in packed that is the index.
func member(packed []byte) (io.ReadCloser, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	t := tar.NewReader(io.LimitReader(z, maxIndex))
	h, err := t.Next()
	if err != nil {
		return nil, err
	}
	if h.Name != Name {
		return nil, fmt.Errorf("the footer leads to %q: want %s", h.Name, Name)
	}
	return bounded{t, func() {}}, nil
}

const footerSize = 51

// parseFooter reads what [Footer] writes.
func parseFooter(b []byte) (int64, error) {
	if len(b) != footerSize || !bytes.Equal(b[:4], []byte{0x1f, 0x8b, 8, 4}) || string(b[12:16]) != "SG\x16\x00" || string(b[32:38]) != "STARGZ" {
		return 0, errors.New("the layer ends without the footer of eStargz")
	}
	offset, err := strconv.ParseInt(string(b[16:32]), 16, 64)
	if err != nil || offset < 0 {
		return 0, fmt.Errorf("the footer of eStargz says that the index is at %q", b[16:32])
	}
	return offset, nil
}

// part reads a range of a layer.
func part(d oci.Descriptor, layer Ranges, offset, size int64) ([]byte, error) {
	switch {
	case offset < 0 || size <= 0 || offset > d.Size || size > d.Size-offset:
		return nil, fmt.Errorf("%d bytes from %d are not within the %d of the layer", size, offset, d.Size)
	case size > maxPacked:
		return nil, fmt.Errorf("has %d bytes: more than the %d that are read", size, maxPacked)
	}
	r, err := layer(offset, size)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var b bytes.Buffer // grows as bytes come, whatever the size is said to be
	if n, err := io.CopyN(&b, r, size); err != nil {
		return nil, fmt.Errorf("after %d of %d bytes: %w", n, size, err)
	}
	return b.Bytes(), nil
}

// entries decodes an index one entry at a time.
func entries(r io.Reader, each func(Entry) bool) error {
	d := json.NewDecoder(r)
	if err := expect(d, json.Delim('{')); err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		if key != "entries" {
			var other json.RawMessage
			if err := d.Decode(&other); err != nil {
				return err
			}
			continue
		}
		if goOn, err := list(d, each); err != nil || !goOn {
			return err
		}
	}
	return expect(d, json.Delim('}'))
}

func list(d *json.Decoder, each func(Entry) bool) (goOn bool, err error) {
	if err := expect(d, json.Delim('[')); err != nil {
		return false, err
	}
	for d.More() {
		var e Entry
		if err := d.Decode(&e); err != nil {
			return false, err
		}
		if !each(e) {
			return false, nil
		}
	}
	return true, expect(d, json.Delim(']'))
}

func expect(d *json.Decoder, want json.Delim) error {
	got, err := d.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err == nil && got != want {
		err = fmt.Errorf("has %v where %v should be", got, want)
	}
	return err
}

type bounded struct {
	io.Reader
	close func()
}

func (b bounded) Close() error { b.close(); return nil }
