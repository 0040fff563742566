package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Upload is a blob of which not all bytes are there. What was written stays when the upload is closed, also by the death of the
// process. One goroutine at a time may use it, and must close it.
type Upload struct {
	repository Repository
	id         string
	file       *os.File
	size       int64
	sum        *sum
	over       bool // it is a blob now, or was given up
}

// ID is what [Repository.Upload] finds the upload by.
func (u *Upload) ID() string { return u.id }

// Size is how many bytes have come.
func (u *Upload) Size() int64 { return u.size }

// Close lets others have the upload.
func (u *Upload) Close() error {
	store := u.repository.store
	err := u.file.Close()
	if u.over {
		store.uploads.forget(u.path())
		return nil // finishing or giving up has closed the file
	}
	store.uploads.giveBack(u.path(), u.sum)
	return err
}

// Fits returns an error that wraps [ErrSize] if n more bytes are too many.
func (u *Upload) Fits(n int64) error {
	if limit := u.repository.store.limits.BlobSize; limit > 0 && n > limit-u.size {
		return tooLarge(limit)
	}
	return nil
}

// Append adds what r yields. What came before an error stays.
func (u *Upload) Append(ctx context.Context, r io.Reader) error {
	if err := u.catchUp(); err != nil {
		return err
	}
	if limit := u.repository.store.limits.BlobSize; limit > 0 {
		r = &limited{r: r, left: limit - u.size, limit: limit}
	}
	return blob.Stream(ctx, writer{u}, r)
}

// Finish makes the upload the blob digest of its repository. When its bytes are others, or it can't be stored, it is given up.
func (u *Upload) Finish(ctx context.Context, digest oci.Digest) error {
	if _, err := oci.ParseDigest(string(digest)); err != nil {
		return err
	}
	if err := u.catchUp(); err != nil {
		return err
	}
	if got := u.sum.digest(); got != digest {
		return errors.Join(fmt.Errorf("%w: it has the digest %s and not %s", blob.ErrMismatch, got, digest), u.Cancel())
	}
	return u.finish(ctx, oci.Descriptor{Digest: digest, Size: u.size})
}

func (u *Upload) finish(ctx context.Context, d oci.Descriptor) error {
	s := u.repository.store
	if s.uploadsTo == nil {
		return errors.Join(ErrNoUploads, u.Cancel())
	}
	_, here := s.uploadsTo.(dir.Store)
	var err error
	if here {
		err = u.settle(d)
	} else {
		err = u.send(ctx, d)
	}
	if err != nil {
		return err
	}
	unlock, err := s.toAdd()
	if err != nil {
		return err
	}
	defer unlock()
	if here {
		u.over = true
		err = s.blobs.Adopt(d, u.file)
	} else {
		err = errors.Join(s.learn(d), u.Cancel())
	}
	if err != nil {
		return err
	}
	if err := u.repository.link(d.Digest); err != nil {
		s.collected.Store(false) // nobody has it
		return err
	}
	return nil
}

// settle waits for the disk before the lock is taken, for which others wait.
func (u *Upload) settle(d oci.Descriptor) error {
	if _, there := u.repository.store.blobs.Path(d); there {
		return nil
	}
	if err := u.file.Sync(); err != nil {
		return errors.Join(err, u.Cancel())
	}
	return nil
}

// send puts the blob where uploads go. It is known before it is there, so that it can be collected if this is all that ever happens. When it
// can't be put the upload stays, and can be finished again.
func (u *Upload) send(ctx context.Context, d oci.Descriptor) error {
	s := u.repository.store
	if err := s.renewAll([]oci.Descriptor{d}); err != nil {
		return err
	}
	missing, err := s.uploadsTo.Missing(ctx, d)
	if err != nil {
		return err
	}
	known := d
	if len(missing) > 0 {
		known.Annotations = map[string]string{uploaded: "true"}
	}
	if err := s.remember(known); err != nil {
		return err
	}
	return s.uploadsTo.Put(ctx, d, blob.SourceFunc(func(context.Context, oci.Descriptor) (io.ReadCloser, error) {
		return os.Open(u.file.Name())
	}))
}

// Cancel gives the upload up, unless it is over.
func (u *Upload) Cancel() error {
	if u.over {
		return nil
	}
	u.over = true
	err := os.Remove(u.file.Name()) // while it is locked
	u.file.Close()
	if err != nil {
		err = os.Remove(u.file.Name()) // Windows removes no open file
	}
	return err
}

// catchUp hashes what this process has not: all of it after a restart, or what another process has written.
func (u *Upload) catchUp() error {
	if u.sum.size > u.size {
		u.sum = newSum()
	}
	_, err := io.Copy(u.sum, io.NewSectionReader(u.file, u.sum.size, u.size-u.sum.size))
	return err
}

// writer writes behind the end and hashes on the way.
type writer struct{ *Upload }

func (w writer) Write(p []byte) (int, error) {
	n, err := w.file.WriteAt(p, w.size)
	w.sum.Write(p[:n])
	w.size += int64(n)
	return n, err
}

// sum is the running digest of the first bytes of an upload.
type sum struct {
	hash hash.Hash
	size int64
}

func newSum() *sum { return &sum{hash: sha256.New()} }

func (s *sum) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	return s.hash.Write(p)
}

func (s *sum) digest() oci.Digest { return oci.DigestOfSum(s.hash.Sum(nil)) }

// limited reads up to a limit and then, if there is more, fails.
type limited struct {
	r           io.Reader
	left, limit int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, tooLarge(l.limit)
	}
	return n, err
}

func tooLarge(limit int64) error { return fmt.Errorf("%w: the limit is %d bytes", ErrSize, limit) }
