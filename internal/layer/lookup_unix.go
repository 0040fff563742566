//go:build unix

package layer

import (
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// lookup finds files with the fewest and cheapest system calls: small files are many, and os.File costs several more for each. Of what
// follows each other in one directory, the third and later files are found from there, since walking down a path from its beginning
// costs as much as opening what it leads to. It is used by one goroutine; the zero value is ready.
type lookup struct {
	path  string // of the directory of the last file
	files int    // that were found in it
	dir   *os.File
}

// after is how many files of a directory are found before it is opened.
const after = 2

// at is where a path begins, and what is to be looked up there.
func (l *lookup) at(path string) (int, string) {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 || i+1 == len(path) {
		return unix.AT_FDCWD, path
	}
	if path[:i] != l.path {
		l.close()
		l.path, l.files = path[:i], 0
	}
	if l.files++; l.files == after+1 {
		l.dir, _ = os.Open(l.path) // what can't be listed may still be entered
	}
	if l.dir == nil {
		return unix.AT_FDCWD, path
	}
	return int(l.dir.Fd()), path[i+1:]
}

func (l *lookup) close() {
	l.dir.Close() // nothing if there is none
	l.dir = nil
}

// status follows symlinks.
func (l *lookup) status(path string) (status, error) {
	dir, name := l.at(path)
	var s unix.Stat_t
	if _, err := again(func() (int, error) { return 0, unix.Fstatat(dir, name, &s, 0) }); err != nil {
		return status{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	found := status{size: s.Size, file: fileID{uint64(s.Dev), s.Ino}}
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		found.mode = fs.ModeDir
	default:
		return slowStatus(path)
	}
	return found, nil
}

// link is the text of a symlink, if that is what the path leads to.
func (l *lookup) link(path string) (string, bool) {
	dir, name := l.at(path)
	var b [unix.PathMax]byte
	n, err := again(func() (int, error) { return unix.Readlinkat(dir, name, b[:]) })
	return string(b[:max(n, 0)]), err == nil
}

// read reads from an offset of a file until b is full or the file ends.
func (l *lookup) read(path string, offset int64, b []byte) (int, error) {
	dir, name := l.at(path)
	fd, err := again(func() (int, error) { return unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	n := 0
	for n < len(b) {
		got, err := again(func() (int, error) { return unix.Pread(fd, b[n:], offset+int64(n)) })
		if err != nil {
			return n, &os.PathError{Op: "read", Path: path, Err: err}
		}
		if got == 0 {
			break
		}
		n += got
	}
	return n, nil
}

// again calls f until it is not interrupted.
func again(f func() (int, error)) (int, error) {
	for {
		if n, err := f(); err != unix.EINTR {
			return n, err
		}
	}
}
