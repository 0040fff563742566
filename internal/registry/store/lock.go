package store

import (
	"os"
	"path/filepath"
	"sync"
)

// lock orders what adds to the store and what takes from it. Adding needs it shared and deleting alone, so that nothing is deleted
// between being found there and being referred to. It holds in this process and, by a lock on a file, in others.
type lock struct{ mu sync.RWMutex }

// toAdd takes the lock shared. Call the function that it returns when done.
func (s *Store) toAdd() (func(), error) {
	s.lock.mu.RLock()
	return s.lockedFile(false, s.lock.mu.RUnlock)
}

// toDelete takes the lock alone. Call the function that it returns when done.
func (s *Store) toDelete() (func(), error) {
	s.lock.mu.Lock()
	return s.lockedFile(true, s.lock.mu.Unlock)
}

func (s *Store) lockedFile(exclusive bool, unlock func()) (func(), error) {
	f, err := os.OpenFile(filepath.Join(s.root, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		unlock()
		return nil, err
	}
	if err := lockFile(f, exclusive); err != nil {
		f.Close()
		unlock()
		return nil, err
	}
	return func() { f.Close(); unlock() }, nil
}
