package blob

import (
	"context"
	"io"
)

// streamBuffer is large because a store has few writers and files have many bytes.
const streamBuffer = 256 << 10

// Stream writes all of r to w. It looks at ctx between reads, because a source on a disk does not.
func Stream(ctx context.Context, w io.Writer, r io.Reader) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	}), make([]byte, streamBuffer))
	return err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
