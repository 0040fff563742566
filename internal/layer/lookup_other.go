//go:build !unix

package layer

import (
	"errors"
	"io"
	"os"
)

// lookup finds files.
type lookup struct{}

func (*lookup) close() {}

func (*lookup) status(path string) (status, error) { return slowStatus(path) }

// link is the text of a symlink, if that is what the path leads to.
func (*lookup) link(path string) (string, bool) {
	text, err := os.Readlink(path)
	return text, err == nil
}

// read reads from an offset of a file until b is full or the file ends.
func (*lookup) read(path string, offset int64, b []byte) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := f.ReadAt(b, offset)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
