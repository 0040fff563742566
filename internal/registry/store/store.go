// Package store keeps what a registry promises to keep: blobs, once for all repositories, and for each repository the blobs and
// manifests that it has, its tags and its referrers. docs/formats/registry.md describes the files.
//
// The entry point is [Open]; a [Repository] does the work. Its law: what a method has done when it returns nil survives the death of
// the process and of the machine's power, and what it has not finished is never visible. A manifest is taken only when all that it
// refers to is in its repository. Everything may be called concurrently, and, except on Windows, by several processes
// that share a directory.
package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Limits say what a store takes. Zero means no limit.
type Limits struct {
	BlobSize  int64         // bytes of one blob
	Uploads   int           // unfinished uploads, of all repositories together
	UploadAge time.Duration // how long an unfinished upload is kept after its last byte
	// Grace is how long a blob is kept that no manifest refers to, after somebody last asked for it. Zero is for ever.
	Grace time.Duration
}

// Store is a directory of repositories.
type Store struct {
	root    string
	limits  Limits
	blobs   dir.Store
	lock    lock
	uploads uploads

	// Asked, if not nil, is told of each place that was asked for a blob, and whether it had it. Set it before the store is used.
	Asked func(place string, found bool)

	source    blob.Source // all places
	names     []string    // of all places
	outer     []Named     // those that are not the directory
	uploadsTo Keeper      // nil takes none
	families  families
	learning  [256]sync.Mutex // by the first byte of a digest

	collected atomic.Bool // nothing was deleted since bytes were collected
}

// format is what the file of this name says. A store of another format is refused.
const format = "rules_img registry 1\n"

// Open opens the store in the directory root, which need not exist. Blobs are looked for in places, in their order, and uploads go to the first that
// takes any; none are the directory alone. Manifests and tags are in the directory whatever the places.
func Open(root string, limits Limits, places ...Named) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	s := &Store{root: root, limits: limits, blobs: dir.Store{Root: root}}
	s.setPlaces(places)
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("directory %s: %w", root, err)
	}
	return s, nil
}

func (s *Store) open() error {
	if err := makeFolder(filepath.Dir(s.root)); err != nil {
		return err
	}
	if err := os.Mkdir(s.root, 0o700); err != nil && !errors.Is(err, os.ErrExist) { // what repositories hold is not everybody's
		return err
	}
	for _, folder := range []string{s.temp(), s.uploadFolder(), s.repositories(), s.known(), s.learningFolder()} {
		if err := makeFolder(folder); err != nil {
			return err
		}
	}
	return s.checkFormat()
}

func (s *Store) checkFormat() error {
	path := filepath.Join(s.root, "format")
	got, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s.write(path, format)
	}
	if err == nil && string(got) != format {
		err = fmt.Errorf("its format is %q and not %q: it was made by another version of the registry", got, format)
	}
	return err
}

func (s *Store) temp() string           { return filepath.Join(s.root, "temp") }
func (s *Store) uploadFolder() string   { return filepath.Join(s.root, "uploads") }
func (s *Store) repositories() string   { return filepath.Join(s.root, "repositories") }
func (s *Store) learningFolder() string { return filepath.Join(s.root, "learning") }

// Repository returns the repository of the given name, which exists once something is in it.
func (s *Store) Repository(name string) (Repository, error) {
	if err := oci.CheckRepository(name); err != nil {
		return Repository{}, fmt.Errorf("%w: %w", ErrName, err)
	}
	return Repository{store: s, name: name, dir: filepath.Join(s.repositories(), strings.ReplaceAll(name, "/", "@"))}, nil
}
