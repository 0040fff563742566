package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Tags lists up to n tags of the repository that come after last, in the order of their bytes, and says whether there are
// more. A negative n is no limit.
func (r Repository) Tags(_ context.Context, last string, n int) (tags []string, more bool, err error) {
	entries, err := os.ReadDir(r.tags())
	if errors.Is(err, fs.ErrNotExist) && exists(r.dir) {
		return nil, false, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("%w: %s", ErrRepositoryUnknown, r.name)
	}
	if err != nil {
		return nil, false, err
	}
	for _, e := range entries {
		if tag, ok := fileTag(e.Name()); ok && tag > last {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	if n >= 0 && len(tags) > n {
		return tags[:n], true, nil
	}
	return tags, false, nil
}

// DeleteTag forgets a tag and leaves its manifest.
func (r Repository) DeleteTag(_ context.Context, tag string) error {
	if err := oci.CheckTag(tag); err != nil {
		return fmt.Errorf("%w: %w", ErrName, err)
	}
	unlock, err := r.store.toAdd() // or the folder may go, too
	if err != nil {
		return err
	}
	defer unlock()
	if err := remove(r.tagFile(tag)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s:%s", ErrManifestUnknown, r.name, tag)
	} else {
		return err
	}
}

// tagged is the digest that a tag names.
func (r Repository) tagged(tag string) (oci.Digest, error) {
	if err := oci.CheckTag(tag); err != nil {
		return "", fmt.Errorf("%w: %w", ErrName, err)
	}
	content, err := os.ReadFile(r.tagFile(tag))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %s:%s", ErrManifestUnknown, r.name, tag)
	}
	if err != nil {
		return "", err
	}
	return oci.ParseDigest(strings.TrimSpace(string(content)))
}

// tag makes a tag name a manifest. The caller holds the lock.
func (r Repository) tag(tag string, digest oci.Digest) error {
	if err := makeFolder(r.tags()); err != nil {
		return err
	}
	return r.store.write(r.tagFile(tag), string(digest)+"\n")
}

// untag removes every tag that names the manifest. The caller holds the lock alone.
func (r Repository) untag(ctx context.Context, digest oci.Digest) error {
	tags, _, err := r.Tags(ctx, "", -1)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		if got, err := r.tagged(tag); err != nil || got != digest {
			continue
		}
		if err := os.Remove(r.tagFile(tag)); err != nil {
			return err
		}
	}
	if !exists(r.tags()) {
		return nil
	}
	return syncFolder(r.tags())
}

func (r Repository) tagFile(tag string) string { return filepath.Join(r.tags(), tagFile(tag)) }

// tagFile is the name of the file of a tag: in lower case, then '@' and, as a hexadecimal number, which letters are capitals. So
// two tags never share a file where the file system thinks that case does not matter, and none ends in a dot.
func tagFile(tag string) string {
	var capitals big.Int
	for i := range len(tag) {
		if tag[i] >= 'A' && tag[i] <= 'Z' {
			capitals.SetBit(&capitals, i, 1)
		}
	}
	return strings.ToLower(tag) + "@" + capitals.Text(16)
}

// fileTag is the tag whose file has this name, if it is one's.
func fileTag(name string) (string, bool) {
	lower, number, _ := strings.Cut(name, "@")
	capitals, ok := new(big.Int).SetString(number, 16)
	if !ok || len(number) > 32 {
		return "", false
	}
	tag := []byte(lower)
	for i := range tag {
		if capitals.Bit(i) == 1 {
			tag[i] &^= 'a' - 'A'
		}
	}
	return string(tag), oci.CheckTag(string(tag)) == nil && tagFile(string(tag)) == name
}
