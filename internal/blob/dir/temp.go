package dir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Temporary files lie beside the blobs, so that they are in the same file system and one sync of the directory is enough.
const tempPrefix = ".put-"

// tempFile is a file that is being written. It is locked for as long as it is open, which tells a sweep that it lives.
type tempFile struct{ *os.File }

func (s Store) temp() (*tempFile, error) {
	for {
		f, err := os.CreateTemp(s.folder(), tempPrefix)
		if err != nil {
			return nil, err
		}
		if lock(f) == nil && exists(f) {
			return &tempFile{f}, nil
		}
		// A sweep came between creating and locking, and may have removed the file.
		f.Close()
		os.Remove(f.Name())
	}
}

// rename gives the file its name. Windows can't rename an open file.
func (f *tempFile) rename(path string) error {
	if runtime.GOOS == "windows" {
		if err := f.Close(); err != nil {
			return err
		}
	}
	return os.Rename(f.Name(), path)
}

// discard closes the file and removes it, unless it was renamed.
func (f *tempFile) discard() {
	f.Close()
	os.Remove(f.Name())
}

func exists(f *os.File) bool {
	_, err := os.Lstat(f.Name())
	return err == nil
}

// Sweep removes the temporary files of processes that died, and of no other. It may run at any time, in any number of
// processes.
func (s Store) Sweep() error {
	entries, err := os.ReadDir(s.folder())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix) {
			errs = append(errs, sweep(filepath.Join(s.folder(), e.Name())))
		}
	}
	return errors.Join(errs...)
}
