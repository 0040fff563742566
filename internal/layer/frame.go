package layer

import (
	"context"
	"encoding/binary"
)

// The encoder's profile. These numbers are part of the format: changing one changes the bytes of every layer.
const (
	profileVersion = 1

	minFrame  = 512 << 10 // no cut before this, but at a large file
	maxFrame  = 2 << 20   // no frame is longer
	largeFile = 1 << 20   // begins and ends a frame, and is cut by its content
	nameMean  = 384 << 10 // how far apart cuts by name are after minFrame, on average
	scanMask  = 1<<19 - 1 // cuts by content are this far apart after minFrame, on average
)

// frame is a run of the tar stream that is compressed on its own.
type frame struct {
	raw        []byte
	out        []byte
	crc        uint32
	chunks     []*Chunk      // of members, in this frame; only for an index
	parts      []int         // where parts of raw begin that are compressed apart, besides the first; only for an index
	ends       []int         // where the parts end in out; only if there are parts
	compressed chan struct{} // closed when out and crc are there
	hashed     chan struct{} // closed when the diff ID has raw
}

// framer cuts the tar stream into frames.
type framer struct {
	ctx     context.Context
	next    func(context.Context) (*frame, error)
	emit    func(context.Context, *frame) error
	current *frame
	large   bool    // inside a large file, which is cut by its content
	frames  int     // how many were emitted, each part as one
	member  *Member // whose content is being written; only for an index
	chunk   *Chunk  // of it, in the current frame
}

// boundary is called before a member that takes size bytes after its header. Whether a cut precedes it depends on its path and size,
// so that an insertion moves no other cut.
func (f *framer) boundary(path string, header int, size int64) error {
	n := int64(f.length())
	if n > 0 && (size >= largeFile || n+int64(header)+padded(size) > maxFrame || n >= minFrame && cutsBefore(path, size)) {
		if err := f.cut(); err != nil {
			return err
		}
	}
	f.large = size >= largeFile
	return nil
}

// end is called after a member's content and padding.
func (f *framer) end() error {
	if !f.large {
		return nil
	}
	f.large = false
	return f.cut()
}

// Write adds b to the stream.
func (f *framer) Write(b []byte) (int, error) {
	written := len(b)
	for len(b) > 0 {
		room, err := f.room(len(b))
		if err != nil {
			return 0, err
		}
		n := copy(room, b)
		if err := f.grow(n); err != nil {
			return 0, err
		}
		b = b[n:]
	}
	return written, nil
}

// room is where at most n bytes of the stream are to be written that grow then adds.
func (f *framer) room(n int) ([]byte, error) {
	if f.current == nil {
		var err error
		if f.current, err = f.next(f.ctx); err != nil {
			return nil, err
		}
	}
	have := len(f.current.raw)
	n = min(n, maxFrame-have)
	if cap(f.current.raw)-have < n {
		bigger := make([]byte, have, min(maxFrame, max(maxFrame/2, 2*have, have+n)))
		copy(bigger, f.current.raw)
		f.current.raw = bigger
	}
	return f.current.raw[have : have+n], nil
}

// grow adds the n bytes that were written to the room, and cuts where they say so.
func (f *framer) grow(n int) error {
	f.current.raw = f.current.raw[:len(f.current.raw)+n]
	if f.large {
		if err := f.scan(n); err != nil {
			return err
		}
	}
	if f.length() == maxFrame {
		return f.cut()
	}
	return nil
}

// scan cuts the current frame, whose last n bytes are new and of a large file, as often as its content says so.
func (f *framer) scan(n int) error {
	for n > 0 {
		raw := f.current.raw
		at := cutIn(raw, len(raw)-n)
		if at < 0 {
			break
		}
		done, rest := f.current, raw[at:]
		done.raw, f.current = raw[:at], nil
		if n = len(rest); n > 0 {
			room, err := f.room(n)
			if err != nil {
				return err
			}
			copy(room, rest)
			f.current.raw = f.current.raw[:n]
		}
		if err := f.finish(done); err != nil {
			return err
		}
	}
	return nil
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
	f.current = nil
	return f.finish(done)
}

func (f *framer) finish(done *frame) error {
	f.endChunk(done)
	if n := len(done.parts); n > 0 && done.parts[n-1] == len(done.raw) {
		done.parts = done.parts[:n-1]
	}
	f.frames += 1 + len(done.parts)
	if f.member != nil {
		f.chunk = &Chunk{Offset: f.chunk.Offset + f.chunk.Size, Frame: f.frames}
	}
	return f.emit(f.ctx, done)
}

// part begins a part of the current frame.
func (f *framer) part() {
	if n := f.length(); n > 0 {
		f.current.parts = append(f.current.parts, n)
	}
}

// beginContent says that the content of m, which is in an index, follows, and that it begins a part.
func (f *framer) beginContent(m *Member) {
	number := f.frames
	if f.current != nil {
		number += len(f.current.parts)
	}
	f.member, f.chunk = m, &Chunk{Frame: number, at: int64(f.length())}
}

// endContent says that it is written.
func (f *framer) endContent() {
	if f.current != nil {
		f.endChunk(f.current)
	}
	f.member, f.chunk = nil, nil
}

func (f *framer) endChunk(in *frame) {
	if f.chunk == nil {
		return
	}
	if f.chunk.Size = int64(len(in.raw)) - f.chunk.at; f.chunk.Size > 0 {
		f.member.Chunks = append(f.member.Chunks, f.chunk)
		in.chunks = append(in.chunks, f.chunk)
	}
}

// cutsBefore decides by a member's path and size whether a frame may end before it: the larger, the likelier.
func cutsBefore(path string, size int64) bool {
	return uint64(hashName(path)) < uint64(512+size)<<32/nameMean
}

// cutIn returns where the content says that a frame ends, or -1: after eight bytes whose hash says so, and of which the last
// is not before from.
func cutIn(raw []byte, from int) int {
	for i := max(from, minFrame) - 7; i+8 <= len(raw); i++ {
		if hash8(binary.LittleEndian.Uint64(raw[i:]))&scanMask == 0 {
			return i + 8
		}
	}
	return -1
}

// hash8 is 19 well-mixed bits of eight bytes. It is not 0 for eight zeros, so that a hole is no cut.
func hash8(v uint64) uint64 {
	return (v*0x9e3779b97f4a7c15 + 1<<63) >> 45
}

// hashName is FNV-1a, 32 bits.
func hashName(name string) uint32 {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return h
}

func padded(size int64) int64 { return (size + 511) &^ 511 }
