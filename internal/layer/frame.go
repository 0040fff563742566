package layer

import (
	"context"
	"sync"
)

// The encoder's profile. These numbers are part of the format: changing one changes the bytes of every layer.
const (
	minFrame   = 256 << 10 // no cut before this, but at a large file
	softFrame  = 1 << 20   // after this, every entry is a cut
	maxFrame   = 2 << 20   // no frame is longer
	largeFile  = 1 << 20   // begins and ends a frame, and is cut by its content
	minContent = 512 << 10 // no cut by content before this
	nameMask   = 1<<5 - 1  // of 32 names, one is a cut
	gearMask   = (1<<19 - 1) << 45
)

// frame is a run of the tar stream that is compressed on its own.
type frame struct {
	raw        []byte
	out        []byte
	crc        uint32
	compressed chan struct{} // closed when out and crc are there
	hashed     chan struct{} // closed when the diff ID has raw
}

// framer cuts the tar stream into frames. It is an io.Writer; boundary and end tell it where entries are.
type framer struct {
	ctx     context.Context
	next    func(context.Context) (*frame, error)
	emit    func(context.Context, *frame) error
	current *frame
	large   bool // inside a large file: cut by content
	gear    uint64
	table   *[256]uint64
}

// boundary is called before an entry's header. The cut depends on the name of what comes, so that an insertion moves no other.
func (f *framer) boundary(name string, size int64) error {
	n := f.length()
	if n > 0 && (size >= largeFile || n >= softFrame || n >= minFrame && hashName(name)&nameMask == 0) {
		if err := f.cut(); err != nil {
			return err
		}
	}
	f.large, f.gear = size >= largeFile, 0
	return nil
}

// end is called after an entry's content and padding.
func (f *framer) end(size int64) error {
	f.large = false
	if size >= largeFile {
		return f.cut()
	}
	return nil
}

// Write adds b to the stream.
func (f *framer) Write(b []byte) (int, error) {
	written := len(b)
	for len(b) > 0 {
		if f.current == nil {
			var err error
			if f.current, err = f.next(f.ctx); err != nil {
				return 0, err
			}
		}
		n, cut := f.take(b)
		f.current.raw = append(f.current.raw, b[:n]...)
		b = b[n:]
		if cut {
			if err := f.cut(); err != nil {
				return 0, err
			}
		}
	}
	return written, nil
}

// take says how much of b belongs to the current frame, and whether the frame ends there.
func (f *framer) take(b []byte) (int, bool) {
	have := f.length()
	b = b[:min(len(b), maxFrame-have)]
	if f.large {
		for i := max(0, minContent-have); i < len(b); i++ {
			f.gear = f.gear<<1 + f.table[b[i]]
			if f.gear&gearMask == 0 {
				return i + 1, true
			}
		}
	}
	return len(b), have+len(b) == maxFrame
}

func (f *framer) length() int {
	if f.current == nil {
		return 0
	}
	return len(f.current.raw)
}

func (f *framer) cut() error {
	if f.current == nil {
		return nil
	}
	done := f.current
	f.current, f.gear = nil, 0
	return f.emit(f.ctx, done)
}

// hashName is FNV-1a, 32 bits.
func hashName(name string) uint32 {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return h
}

// gearTable is 256 numbers of SplitMix64 with the seed 0.
var gearTable = sync.OnceValue(func() *[256]uint64 {
	var t [256]uint64
	var state uint64
	for i := range t {
		state += 0x9e3779b97f4a7c15
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		t[i] = z ^ z>>31
	}
	return &t
})
