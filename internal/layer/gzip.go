package layer

import (
	"bytes"
	"encoding/binary"

	"github.com/klauspost/compress/flate"
)

// deflate is the compressor of gzip layers: one member for the whole layer, in which each frame is a run of deflate blocks
// that ends on a byte and refers to nothing before it.
type deflate struct {
	w *flate.Writer
	b bytes.Buffer
}

func newDeflate(level int) (*deflate, error) {
	w, err := flate.NewWriter(nil, level)
	return &deflate{w: w}, err
}

// head is a gzip header (RFC 1952) with nothing in it that could differ: no name, no time, an unknown system.
func (*deflate) head(to []byte) []byte {
	return append(to, 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255)
}

func (d *deflate) frame(to, raw []byte) ([]byte, error) {
	if incompressible(raw) {
		return storeBlocks(to, raw), nil
	}
	d.b = *bytes.NewBuffer(to)
	d.w.Reset(&d.b)
	if _, err := d.w.Write(raw); err != nil {
		return nil, err
	}
	err := d.w.Flush()
	return d.b.Bytes(), err
}

// tail is an empty last block, then the CRC and the size that RFC 1952 asks for.
func (*deflate) tail(to []byte, crc uint32, size int64) []byte {
	to = append(to, 1, 0, 0, 0xff, 0xff)
	to = binary.LittleEndian.AppendUint32(to, crc)
	return binary.LittleEndian.AppendUint32(to, uint32(size))
}

func (*deflate) checks() bool { return true }

// storeBlocks appends raw as stored deflate blocks (RFC 1951, 3.2.4).
func storeBlocks(to, raw []byte) []byte {
	for len(raw) > 0 {
		n := min(len(raw), 65535)
		to = append(to, 0)
		to = binary.LittleEndian.AppendUint16(to, uint16(n))
		to = binary.LittleEndian.AppendUint16(to, ^uint16(n))
		to = append(to, raw[:n]...)
		raw = raw[n:]
	}
	return to
}
