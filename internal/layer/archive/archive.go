// Package archive reads layers that somebody else made: tar archives, plain or compressed. [Open] looks at one; then [Archive.Inspect]
// describes it as it is, [Archive.Recompress] gives the same archive another compression, and [Archive.Entries] takes it apart for
// [layer.Write].
//
// The law: an archive is read to its last byte before anything is said of it, an error names the byte at which it is wrong, and memory
// grows with the number of its entries alone, whatever their headers claim.
package archive

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/bazel-contrib/rules_img/internal/layer"
)

// maxWindow bounds what a zstd frame may ask a decoder to remember. It is the largest that RFC 8878 recommends to support, and then some.
const maxWindow = 128 << 20

// Archive is a file that holds a tar archive.
type Archive struct {
	path   string
	format layer.Format
}

// Open finds out how the archive in a file is compressed.
func Open(path string) (*Archive, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, 4)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		if errors.Is(err, io.EOF) {
			err = errors.New("is empty: want a tar archive")
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Archive{path, formatOf(head[:n])}, nil
}

// Format is how the archive is compressed.
func (a *Archive) Format() layer.Format { return a.format }

func formatOf(head []byte) layer.Format {
	switch {
	case len(head) > 1 && head[0] == 0x1f && head[1] == 0x8b:
		return layer.Gzip
	case len(head) == 4 && head[1] == 0xb5 && head[2] == 0x2f && head[3] == 0xfd && head[0] == 0x28,
		len(head) == 4 && head[1] == 0x2a && head[2] == 0x4d && head[3] == 0x18 && head[0]>>4 == 5: // a skippable frame
		return layer.Zstd
	}
	return layer.None
}

// input is an open archive: what Read gives is the tar.
type input struct {
	io.Reader
	file   *os.File
	packed *counter // of the file's bytes
	close  func()
}

// open opens the archive for one reading. Each byte of the file that is read goes to the tap as well, if there is one.
func (a *Archive) open(tap io.Writer) (*input, error) {
	f, err := os.Open(a.path)
	if err != nil {
		return nil, err
	}
	in := &input{file: f, packed: &counter{r: f}, close: func() {}}
	var packed io.Reader = in.packed
	if tap != nil {
		packed = io.TeeReader(packed, tap)
	}
	in.Reader, err = in.decompressed(a.format, bufio.NewReaderSize(packed, 256<<10))
	if err != nil {
		f.Close()
		return nil, in.located(err)
	}
	return in, nil
}

func (in *input) decompressed(f layer.Format, r io.Reader) (io.Reader, error) {
	switch f {
	case layer.Gzip:
		return gzip.NewReader(r)
	case layer.Zstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err == nil {
			in.close = z.Close
		}
		return z, err
	}
	return r, nil
}

func (in *input) Close() error {
	in.close()
	return in.file.Close()
}

// located says about where in the file an error of decompression is. What was read ahead makes it inexact.
func (in *input) located(err error) error {
	return fmt.Errorf("before byte %d of the file: %w", in.packed.n.Load(), err)
}

// counter counts the bytes that are read through it. A decoder may do so on a goroutine of its own.
type counter struct {
	r io.Reader
	n atomic.Int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}
