package layer

import "hash/crc32"

func crcOf(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

// combineCRC returns the CRC-32 of two runs of bytes, given that of each and the length of the second. A CRC is a polynomial over GF(2) modulo
// that of the CRC, with the highest power in the lowest bit; appending n bytes of zeros multiplies it by x to the power of 8n.
func combineCRC(first, second uint32, length int64) uint32 {
	const one, byteOfZeros = 1 << 31, 1 << 23
	power, square := uint32(one), uint32(byteOfZeros)
	for ; length != 0; length >>= 1 {
		if length&1 == 1 {
			power = times(power, square)
		}
		square = times(square, square)
	}
	return times(power, first) ^ second
}

// times multiplies two polynomials.
func times(a, b uint32) uint32 {
	product := uint32(0)
	for ; a != 0; a <<= 1 {
		product ^= b & -(a >> 31)
		b = b>>1 ^ crc32.IEEE&-(b&1)
	}
	return product
}
