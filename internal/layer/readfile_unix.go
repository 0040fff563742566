//go:build unix

package layer

import (
	"os"
	"syscall"
)

// readFile reads from an offset of a file until b is full or the file ends. It makes the fewest system calls: small files are
// many, and os.File costs several more for each.
func readFile(path string, offset int64, b []byte) (int, error) {
	fd, err := again(func() (int, error) { return syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0) })
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer syscall.Close(fd)
	n := 0
	for n < len(b) {
		got, err := again(func() (int, error) { return syscall.Pread(fd, b[n:], offset+int64(n)) })
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
		if n, err := f(); err != syscall.EINTR {
			return n, err
		}
	}
}
