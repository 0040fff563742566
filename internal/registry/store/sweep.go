package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// tempAge is how old a temporary file of another process must be to be one that a dead process left. They live for milliseconds.
const tempAge = time.Hour

// Sweep removes what dead processes left behind and uploads that nobody continues. It may run at any time; run it now and then.
func (s *Store) Sweep(now time.Time) error {
	s.uploads.forgetGone()
	return errors.Join(
		s.blobs.Sweep(),
		s.sweepUploads(now),
		eachOlder(s.temp(), now.Add(-tempAge), os.Remove),
	)
}

// eachOlder calls do for each file of the folder that was last changed before the given time.
func eachOlder(folder string, than time.Time, do func(path string) error) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.ModTime().Before(than) {
			err = do(filepath.Join(folder, e.Name()))
		}
		if !errors.Is(err, fs.ErrNotExist) { // another process was faster
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
