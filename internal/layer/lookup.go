package layer

import (
	"io"
	"io/fs"
	"os"
)

// status is what a layer has to know of a file.
type status struct {
	mode fs.FileMode // what it is, without its permissions
	size int64
	file fileID
}

// fileID tells whether two paths lead to one file. The zero value does not.
type fileID struct{ device, inode uint64 }

// slowStatus asks for a file in the way that there is everywhere.
func slowStatus(path string) (status, error) {
	info, err := os.Stat(path)
	if err != nil {
		return status{}, err
	}
	return status{mode: info.Mode().Type(), size: info.Size()}, nil
}

// readAll fills b from an offset of an entry's content.
func (l *lookup) readAll(e *Entry, offset int64, b []byte) error {
	n, err := l.read(e.From, e.Offset+offset, b)
	if err == nil && n < len(b) {
		err = changed(e, io.ErrUnexpectedEOF)
	}
	return err
}
