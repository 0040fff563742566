package store

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// uploads remembers, of each unfinished upload, what this process has hashed of it. Only one request at a time has an upload.
type uploads struct {
	mu     sync.Mutex
	hashed map[string]*sum // by file; nil while a request has it
}

// StartUpload makes a new, empty upload and opens it.
func (r Repository) StartUpload() (*Upload, error) {
	if r.store.uploadsTo == nil {
		return nil, ErrNoUploads
	}
	if err := r.store.roomForUpload(); err != nil {
		return nil, err
	}
	var random [16]byte
	rand.Read(random[:])
	return r.openUpload(hex.EncodeToString(random[:]), os.O_CREATE|os.O_EXCL)
}

// Upload opens the unfinished upload with the given id. Only one request can have it open at a time.
func (r Repository) Upload(id string) (*Upload, error) {
	if b, err := hex.DecodeString(id); err != nil || len(b) != 16 {
		return nil, fmt.Errorf("%w: %q", ErrUploadUnknown, id)
	}
	return r.openUpload(id, 0)
}

func (r Repository) openUpload(id string, flags int) (*Upload, error) {
	u := &Upload{repository: r, id: id}
	sum, err := r.store.uploads.take(u.path())
	if err != nil {
		return nil, err
	}
	u.sum = sum
	if err := u.open(flags); err != nil {
		r.store.uploads.forget(u.path())
		return nil, err
	}
	return u, nil
}

// path is where the upload's bytes are. The name has the repository in it, so that no other has the upload.
func (u *Upload) path() string {
	repository := oci.DigestOf([]byte(u.repository.name)).Encoded()[:16]
	return filepath.Join(u.repository.store.uploadFolder(), u.id+"-"+repository)
}

func (u *Upload) open(flags int) error {
	f, err := os.OpenFile(u.path(), os.O_RDWR|flags, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrUploadUnknown, u.id)
	}
	if err != nil {
		return err
	}
	if tryLock(f) != nil {
		f.Close()
		return fmt.Errorf("%w: %s", ErrUploadBusy, u.id)
	}
	info, err := f.Stat()
	if err == nil && !exists(f.Name()) {
		err = fmt.Errorf("%w: %s", ErrUploadUnknown, u.id) // finished or given up between opening and locking
	}
	if err != nil {
		f.Close()
		return err
	}
	u.file, u.size = f, info.Size()
	return nil
}

// roomForUpload counts the unfinished uploads of all processes. Requests that count at once may pass the limit by their number.
func (s *Store) roomForUpload() error {
	if s.limits.Uploads == 0 {
		return nil
	}
	entries, err := os.ReadDir(s.uploadFolder())
	if err == nil && len(entries) >= s.limits.Uploads {
		err = fmt.Errorf("%w: there are %d", ErrUploads, len(entries))
	}
	return err
}

func (u *uploads) take(path string) (*sum, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	s, known := u.hashed[path]
	if known && s == nil {
		return nil, ErrUploadBusy
	}
	if u.hashed == nil {
		u.hashed = map[string]*sum{}
	}
	u.hashed[path] = nil
	if s == nil {
		s = newSum()
	}
	return s, nil
}

func (u *uploads) giveBack(path string, s *sum) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.hashed[path] = s
}

func (u *uploads) forget(path string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.hashed, path)
}

// sweepUploads removes the uploads that got no byte for longer than the limit, unless a request has them.
func (s *Store) sweepUploads(now time.Time) error {
	if s.limits.UploadAge == 0 {
		return nil
	}
	return eachOlder(s.uploadFolder(), now.Add(-s.limits.UploadAge), s.sweepUpload)
}

// forgetGone forgets the uploads that another process has finished or removed.
func (u *uploads) forgetGone() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for path, s := range u.hashed {
		if s != nil && !exists(path) {
			delete(u.hashed, path)
		}
	}
}

func (s *Store) sweepUpload(path string) error {
	if _, err := s.uploads.take(path); err != nil {
		return nil
	}
	defer s.uploads.forget(path)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if tryLock(f) != nil {
		return nil
	}
	return os.Remove(path)
}
