package layer

import "github.com/klauspost/compress/zstd"

// zstandard is the compressor of zstd layers: each frame is a zstd frame (RFC 8878) with its size and checksum.
type zstandard struct{ e *zstd.Encoder }

func newZstd(level int) (zstandard, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.EncoderLevel(level)), zstd.WithEncoderCRC(true))
	return zstandard{e}, err
}

func (zstandard) head(to []byte) []byte                    { return to }
func (z zstandard) frame(to, raw []byte) ([]byte, error)   { return z.e.EncodeAll(raw, to), nil }
func (zstandard) tail(to []byte, _ uint32, _ int64) []byte { return to }
func (zstandard) checks() bool                             { return false }
