//go:build !unix

package layer

import (
	"errors"
	"io"
	"os"
)

// readFile reads from an offset of a file until b is full or the file ends.
func readFile(path string, offset int64, b []byte) (int, error) {
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
