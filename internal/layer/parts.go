package layer

import (
	"encoding/binary"
	"fmt"
)

// compress makes out of raw, part by part.
func (f *frame) compress(c compressor) (err error) {
	from := 0
	for _, to := range f.parts {
		if f.out, err = c.frame(f.out, f.raw[from:to]); err != nil {
			return err
		}
		f.ends = append(f.ends, len(f.out))
		from = to
	}
	f.out, err = c.frame(f.out, f.raw[from:])
	return err
}

// placed appends the frame to those before it, each part as a frame of its own.
func (f *frame) placed(to []Placed, raw, blob int64) []Placed {
	fromRaw, fromOut := 0, 0
	for i := range len(f.parts) + 1 {
		endRaw, endOut := len(f.raw), len(f.out)
		if i < len(f.parts) {
			endRaw, endOut = f.parts[i], f.ends[i]
		}
		to = append(to, Placed{Raw: raw + int64(fromRaw), RawSize: int64(endRaw - fromRaw), Blob: blob + int64(fromOut), Size: int64(endOut - fromOut)})
		fromRaw, fromOut = endRaw, endOut
	}
	return to
}

// division tells frames of the same bytes but other parts from each other.
func (f *frame) division() string {
	if len(f.parts) == 0 {
		return ""
	}
	return fmt.Sprint(f.parts)
}

// packEnds is out and, behind it, where its parts end: what a cache has to keep.
func (f *frame) packEnds() []byte {
	b := f.out
	for _, n := range f.ends {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return b
}

// unpackEnds takes apart what packEnds made of a frame with as many parts.
func (f *frame) unpackEnds() {
	out := len(f.out) - 4*len(f.parts)
	for i := range f.parts {
		f.ends = append(f.ends, int(binary.LittleEndian.Uint32(f.out[out+4*i:])))
	}
	f.out = f.out[:out]
}
