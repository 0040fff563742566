package layer

import (
	"bytes"
	"encoding/binary"

	"github.com/klauspost/compress/flate"
)

// deflate is the compressor of gzip layers: one member for the whole layer, in which each frame is a run of deflate blocks
// that ends on a byte and refers to nothing before it.
type deflate struct {
	w     *flate.Writer // made when there is something to compress: its tables are large
	b     bytes.Buffer
	level int
}

// deflateLevels are the library's levels for ours, 0 to 9. Its first is no faster than its second and its last takes three times as long as
// the one before it for a hundredth of the size, so neither is used.
var deflateLevels = [10]int{0, 2, 3, 4, 5, 5, 6, 7, 7, 8}

func newDeflate(level int) *deflate {
	if level < 0 {
		level = 6
	}
	return &deflate{level: level}
}

// head is a gzip header (RFC 1952) with nothing in it that could differ: no name, no time, an unknown system.
func (*deflate) head(to []byte) []byte {
	return append(to, 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255)
}

func (d *deflate) frame(to, raw []byte) ([]byte, error) {
	if d.level == 0 || incompressible(raw) {
		return storeBlocks(to, raw), nil
	}
	if d.w == nil {
		var err error
		if d.w, err = flate.NewWriter(nil, deflateLevels[d.level]); err != nil {
			return nil, err
		}
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
