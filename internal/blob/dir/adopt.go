package dir

import (
	"fmt"
	"os"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Adopt makes the file f the blob d. You want it for bytes that arrive piece by piece and are known to be d's only at their end:
// the caller has written f, in the file system of the store, and has checked its digest. Adopt closes f, which afterwards is
// gone from where it was, also after an error.
func (s Store) Adopt(d oci.Descriptor, f *os.File) error {
	file := &tempFile{f}
	defer file.discard()
	if err := s.adopt(d, file); err != nil {
		return fmt.Errorf("directory %s: put %s: %w", s.Root, d.Digest, err)
	}
	return nil
}

func (s Store) adopt(d oci.Descriptor, f *tempFile) error {
	if _, err := oci.ParseDigest(string(d.Digest)); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != d.Size {
		return fmt.Errorf("%w: it has %d bytes and not %d", blob.ErrMismatch, info.Size(), d.Size)
	}
	if s.has(d) {
		return s.sync(s.folder())
	}
	if err := s.makeFolder(); err != nil {
		return err
	}
	return s.publish(f, d.Digest)
}
