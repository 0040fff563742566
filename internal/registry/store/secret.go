package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Secret is 32 random bytes that all processes have that share the directory, and nobody else.
func (s *Store) Secret() (secret [32]byte, err error) {
	unlock, err := s.toDelete() // or each of two processes would make one
	if err != nil {
		return secret, err
	}
	defer unlock()
	path := filepath.Join(s.root, "secret")
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		rand.Read(secret[:])
		return secret, s.writeFor(0o600, path, string(secret[:]))
	}
	if err == nil && len(content) != len(secret) {
		err = fmt.Errorf("%s: has %d bytes: remove it, and it is made anew", path, len(content))
	}
	copy(secret[:], content)
	return secret, err
}
