//go:build unix

package dir

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// lock takes the file for its open descriptor, or says that another has it. It ends when the file is closed, also by
// the death of the process.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// sweep removes one temporary file if nobody holds it. Holding its lock meanwhile keeps a process that has just made
// the file from using it.
func sweep(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return unlessGone(err)
	}
	defer f.Close()
	if lock(f) != nil {
		return nil
	}
	return unlessGone(os.Remove(path))
}

func unlessGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sync waits until what was written to the file or directory is on the disk.
func (s Store) sync(path string) error {
	if s.Volatile {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
