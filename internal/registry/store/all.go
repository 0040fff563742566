package store

import (
	"iter"
	"os"
	"strings"
)

// all yields every repository, in the order of their folders. It ends with the first error.
func (s *Store) all() iter.Seq2[Repository, error] {
	return func(yield func(Repository, error) bool) {
		entries, err := os.ReadDir(s.repositories())
		if err != nil {
			yield(Repository{}, err)
			return
		}
		for _, e := range entries {
			r, err := s.Repository(strings.ReplaceAll(e.Name(), "@", "/"))
			if err != nil {
				continue // none of ours
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}
