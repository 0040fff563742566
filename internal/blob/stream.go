package blob

import (
	"context"
	"io"
)

// streamBuffer is large because a store has few writers and files have many bytes.
const streamBuffer = 256 << 10

// Stream writes all of r to w, unless ctx ends before.
func Stream(ctx context.Context, w io.Writer, r io.Reader) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, Reader(ctx, r), make([]byte, streamBuffer))
	return err
}

// Reader is r until ctx ends. It looks between reads, because what is on a disk does not.
func Reader(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
