package layer

import "hash/crc32"

func crcOf(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

// combineCRC returns the CRC-32 of two runs of bytes, given that of each and the length of the second. Appending a zero bit is a linear map
// of the 32 bits of the CRC; appending n bytes of zeros is its 8n-th power, made by squaring.
func combineCRC(first, second uint32, length int64) uint32 {
	var power matrix
	power[0] = crc32.IEEE
	for i := 1; i < 32; i++ {
		power[i] = 1 << (i - 1)
	}
	for bits := uint64(length) * 8; bits != 0; bits >>= 1 {
		if bits&1 == 1 {
			first = power.times(first)
		}
		power = power.squared()
	}
	return first ^ second
}

// matrix is a linear map of 32 bits over GF(2), by columns.
type matrix [32]uint32

func (m *matrix) times(v uint32) uint32 {
	var sum uint32
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 == 1 {
			sum ^= m[i]
		}
	}
	return sum
}

func (m *matrix) squared() matrix {
	var out matrix
	for i := range out {
		out[i] = m.times(m[i])
	}
	return out
}
