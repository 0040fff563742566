package dir

import (
	"os"
	"time"
)

// tooYoung is for the moment between closing a file and renaming it, when nothing else protects it.
const tooYoung = time.Hour

// lock has nothing to do: Windows does not remove a file that is open.
func lock(*os.File) error { return nil }

// sweep removes one temporary file unless it is open or young. The next sweep tries again.
func sweep(path string) error {
	if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > tooYoung {
		os.Remove(path)
	}
	return nil
}

// sync has nothing to do: Windows can't sync a directory, and a file was synced while it was open.
func (s Store) sync(string) error { return nil }
