package store

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// lock orders what adds to the store and what takes from it. Adding needs it shared and deleting alone, so that nothing is deleted
// between being found there and being referred to. It holds in this process and, by a lock on a file, in others.
type lock struct{ mu sync.RWMutex }

// toAdd takes the lock shared. Call the function that it returns when done.
func (s *Store) toAdd() (func(), error) {
	s.lock.mu.RLock()
	return s.locked(false, s.lock.mu.RUnlock)
}

// toDelete takes the lock alone. Call the function that it returns when done.
func (s *Store) toDelete() (func(), error) {
	s.lock.mu.Lock()
	return s.locked(true, s.lock.mu.Unlock)
}

// locked takes the lock's file in turn: who waits to have it alone keeps others from coming, or of many that add there would always be one.
func (s *Store) locked(exclusive bool, unlock func()) (func(), error) {
	pass, err := lockedFile(filepath.Join(s.root, "turn"), exclusive, func() {})
	if err != nil {
		unlock()
		return nil, err
	}
	defer pass()
	return lockedFile(filepath.Join(s.root, "lock"), exclusive, unlock)
}

// toLearn takes what is known of a blob, and of some others, alone. Call the function that it returns when done. It comes after the lock.
func (s *Store) toLearn(digest oci.Digest) (func(), error) {
	first := key(digest)[0]
	s.learning[first].Lock()
	return lockedFile(filepath.Join(s.learningFolder(), fmt.Sprintf("%02x", first)), true, s.learning[first].Unlock)
}

func lockedFile(path string, exclusive bool, unlock func()) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
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
