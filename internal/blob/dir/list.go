package dir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// listBatch is how many names are read at a time, so that a large store is not held in memory.
const listBatch = 1024

// All yields a descriptor, without media type, for every blob, in no order. It ends with the first error.
func (s Store) All() iter.Seq2[oci.Descriptor, error] {
	return func(yield func(oci.Descriptor, error) bool) {
		folder, err := os.Open(s.folder())
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(oci.Descriptor{}, err)
			return
		}
		defer folder.Close()
		for {
			entries, err := folder.ReadDir(listBatch)
			if !s.each(entries, yield) || err == io.EOF {
				return
			}
			if err != nil {
				yield(oci.Descriptor{}, fmt.Errorf("directory %s: %w", s.Root, err))
				return
			}
		}
	}
}

// each yields the blobs among entries, and reports whether to go on.
func (s Store) each(entries []os.DirEntry, yield func(oci.Descriptor, error) bool) bool {
	for _, e := range entries {
		digest, err := oci.ParseDigest("sha256:" + e.Name())
		if err != nil {
			continue // a temporary file, or none of ours
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			yield(oci.Descriptor{}, s.blobError(digest, err))
			return false
		}
		if !yield(oci.Descriptor{Digest: digest, Size: info.Size()}, nil) {
			return false
		}
	}
	return true
}
