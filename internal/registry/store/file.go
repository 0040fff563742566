package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// write puts a small file in place as a whole: it is written elsewhere, synced and renamed. Its folder must exist.
func (s *Store) write(path, content string) error { return s.writeFor(0o644, path, content) }

// writeFor is write for those whom a file's mode lets read it.
func (s *Store) writeFor(mode fs.FileMode, path, content string) error {
	f, err := os.CreateTemp(s.temp(), "")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once the file is renamed
	_, err = f.WriteString(content)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// touch makes an empty file. It syncs also when the file is there, since another process may not yet have done so.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// remove removes a file for good. Its error is [fs.ErrNotExist] when there is none.
func remove(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// makeFolder makes a folder and those above it.
func makeFolder(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	if err := makeFolder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
