package store

import "os"

// syncFolder has nothing to do: Windows can't sync a folder.
func syncFolder(string) error { return nil }

// tryLock has nothing to do: one process has the directory to itself.
func tryLock(*os.File) error { return nil }

// lockFile has nothing to do: one process has the directory to itself.
func lockFile(*os.File, bool) error { return nil }
