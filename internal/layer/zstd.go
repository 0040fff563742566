package layer

import (
	"encoding/binary"

	"github.com/klauspost/compress/zstd"
)

// zstandard is the compressor of zstd layers: each frame is a zstd frame (RFC 8878) with its size.
type zstandard struct{ e *zstd.Encoder }

func newZstd(level int) (zstandard, error) {
	// The level sets the size of blocks, so the window must come after it.
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.EncoderLevel(level)),
		zstd.WithWindowSize(maxFrame), zstd.WithEncoderCRC(true))
	return zstandard{e}, err
}

func (z zstandard) frame(to, raw []byte) ([]byte, error) {
	if incompressible(raw) {
		return rawFrame(to, raw), nil
	}
	return z.e.EncodeAll(raw, to), nil
}

func (zstandard) head(to []byte) []byte                    { return to }
func (zstandard) tail(to []byte, _ uint32, _ int64) []byte { return to }
func (zstandard) checks() bool                             { return false }

// rawFrame appends raw as a single-segment frame of raw blocks without a checksum.
func rawFrame(to, raw []byte) []byte {
	const maxBlock = 128 << 10
	to = append(to, 0x28, 0xb5, 0x2f, 0xfd, 0xa0)
	to = binary.LittleEndian.AppendUint32(to, uint32(len(raw)))
	for len(raw) > 0 {
		n := min(len(raw), maxBlock)
		header := uint32(n) << 3
		if n == len(raw) {
			header |= 1
		}
		to = append(to, byte(header), byte(header>>8), byte(header>>16))
		to = append(to, raw[:n]...)
		raw = raw[n:]
	}
	return to
}
