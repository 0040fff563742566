package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// maxOrigins bounds what is remembered of where a blob may be pulled from.
const maxOrigins = 16

// uploaded marks a blob that came through this store to where uploads go: nothing else is deleted there.
const uploaded = "uploaded"

// Of a blob that is elsewhere than in the directory, a file has what places need to find it. Its time is when the blob was last asked for by
// somebody who wants to refer to it.

func (s *Store) known() string { return filepath.Join(s.root, "known") }

func (s *Store) knownFile(digest oci.Digest) string {
	return filepath.Join(s.known(), digestFile(digest))
}

// recall returns what is known of a blob: what was learned, or else its file in the directory.
func (s *Store) recall(digest oci.Digest) (d oci.Descriptor, err error) {
	content, err := os.ReadFile(s.knownFile(digest))
	if err == nil {
		if err = json.Unmarshal(content, &d); err == nil && (d.Digest != digest || d.Size < 0) {
			err = fmt.Errorf("has the digest %q and the size %d", d.Digest, d.Size)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", s.knownFile(digest), err)
		}
		return d, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return d, err
	}
	path, _ := s.blobs.Path(oci.Descriptor{Digest: digest})
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return d, fmt.Errorf("%w: %s: neither its bytes nor where they are is known", ErrBlobUnknown, digest)
	}
	if err != nil {
		return d, err
	}
	return oci.Descriptor{Digest: digest, Size: info.Size()}, nil
}

// remember is [Store.learn] for who does not hold the lock. It is not held for many blobs at once, since each waits for the disk.
func (s *Store) remember(d oci.Descriptor) error {
	unlock, err := s.toAdd()
	if err != nil {
		return err
	}
	defer unlock()
	return s.learn(d)
}

// learn remembers a blob that is in some place, with what was known of it before: it reads, joins and writes, which is done once at a time, or
// what another request has learned would be lost. The caller holds the lock.
func (s *Store) learn(d oci.Descriptor) error {
	unlock, err := s.toLearn(d.Digest)
	if err != nil {
		return err
	}
	defer unlock()
	content, err := json.Marshal(s.joined(d))
	if err != nil {
		return err
	}
	have, err := os.ReadFile(s.knownFile(d.Digest))
	if err == nil && string(have) == string(content)+"\n" {
		s.renew(d.Digest)
		return nil
	}
	return s.write(s.knownFile(d.Digest), string(content)+"\n")
}

// joined is d with what was learned of it before, where d does not say otherwise.
func (s *Store) joined(d oci.Descriptor) oci.Descriptor {
	out := oci.Descriptor{Digest: d.Digest, Size: d.Size}
	notes := map[string]string{}
	if had, err := s.recall(d.Digest); err == nil && had.Size == d.Size {
		maps.Copy(notes, had.Annotations)
	}
	origins := append(strings.Fields(d.Annotations[Origins]), strings.Fields(notes[Origins])...)
	maps.Copy(notes, d.Annotations)
	if origins = slices.Compact(slices.Sorted(slices.Values(origins))); len(origins) > 0 {
		notes[Origins] = strings.Join(origins[:min(len(origins), maxOrigins)], " ")
	}
	if len(notes) > 0 {
		out.Annotations = notes
	}
	return out
}

// renew says that somebody is about to refer to a blob, so that it is not collected meanwhile.
func (s *Store) renew(digest oci.Digest) {
	now := time.Now()
	os.Chtimes(s.knownFile(digest), now, now)
}

// elsewhere finds which of ds some place besides the directory has. What they say is joined with what is known.
func (s *Store) elsewhere(ctx context.Context, ds []oci.Descriptor) (map[oci.Digest]oci.Descriptor, error) {
	if len(s.outer) == 0 || len(ds) == 0 {
		return nil, nil
	}
	if err := s.renewAll(ds); err != nil {
		return nil, err
	}
	left := make([]oci.Descriptor, 0, len(ds))
	for _, d := range ds {
		left = append(left, s.joined(d))
	}
	found := map[oci.Digest]oci.Descriptor{}
	var errs []error
	for _, p := range s.outer {
		missing, err := p.Place.Missing(ctx, left...)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.Name, err))
			continue
		}
		lacks := digests(missing)
		for _, d := range left {
			if !lacks[d.Digest] {
				found[d.Digest] = d
			}
		}
		if left = missing; len(left) == 0 {
			return found, nil
		}
	}
	if len(errs) > 0 { // one of them may have it
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(errs...))
	}
	return found, nil
}

// renewAll is done before asking, under the lock: what is collected is so before, and is not found then.
func (s *Store) renewAll(ds []oci.Descriptor) error {
	unlock, err := s.toAdd()
	if err != nil {
		return err
	}
	defer unlock()
	for _, d := range ds {
		s.renew(d.Digest)
	}
	return nil
}
