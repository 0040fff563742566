package store

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// removeEmpty removes the folders of repositories that have nothing any more: where each branch has a repository of its own, there are ever more.
func (s *Store) removeEmpty(ctx context.Context) error {
	for r, err := range s.all() {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if !r.isEmpty() {
			continue
		}
		if err := r.removeFolders(); err != nil {
			return err
		}
	}
	return nil
}

func (r Repository) folders() []string {
	return []string{r.blobs(), r.manifests(), r.tags(), filepath.Join(r.dir, "referrers")}
}

// isEmpty reports whether there is no file in the repository.
func (r Repository) isEmpty() bool {
	for _, folder := range r.folders() {
		f, err := os.Open(folder)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return false
		}
		_, err = f.Readdirnames(1)
		f.Close()
		if err != io.EOF {
			return false
		}
	}
	return true
}

// removeFolders removes what is still empty, now that nobody can add anything.
func (r Repository) removeFolders() error {
	unlock, err := r.store.toDelete()
	if err != nil {
		return err
	}
	defer unlock()
	for _, folder := range append(r.folders(), r.dir) {
		os.Remove(folder) // unless something is in it
	}
	return nil
}
