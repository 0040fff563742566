package store

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Referrers yields the descriptors of the manifests whose subject is the given one, in the order of their digests, from the one
// after last on. The subject need not be in the repository. It ends with the first error.
func (r Repository) Referrers(_ context.Context, subject, last oci.Digest) iter.Seq2[oci.Descriptor, error] {
	return func(yield func(oci.Descriptor, error) bool) {
		entries, err := os.ReadDir(r.referrers(subject))
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(oci.Descriptor{}, err)
			return
		}
		for _, e := range entries {
			digest, ok := fileDigest(e.Name())
			if !ok || digest <= last || !exists(r.manifestLink(digest)) {
				continue // none of ours, or left by a process that died before its manifest was visible
			}
			d, err := r.referrer(subject, e.Name())
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

func (r Repository) referrer(subject oci.Digest, file string) (d oci.Descriptor, err error) {
	content, err := os.ReadFile(filepath.Join(r.referrers(subject), file))
	if err == nil {
		err = json.Unmarshal(content, &d)
	}
	return d, err
}

// refer remembers that m refers to its subject. The caller holds the lock.
func (r Repository) refer(d oci.Descriptor, m manifest) error {
	if m.Subject == nil {
		return nil
	}
	folder := r.referrers(m.Subject.Digest)
	if err := makeFolder(folder); err != nil {
		return err
	}
	content, err := json.Marshal(oci.Descriptor{
		MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, ArtifactType: m.artifactType(), Annotations: m.Annotations,
	})
	if err != nil {
		return err
	}
	return r.store.write(filepath.Join(folder, digestFile(d.Digest)), string(content)+"\n")
}

// unrefer forgets what refer remembered. The caller holds the lock alone.
func (r Repository) unrefer(d oci.Descriptor, m manifest) error {
	if m.Subject == nil {
		return nil
	}
	folder := r.referrers(m.Subject.Digest)
	if err := remove(filepath.Join(folder, digestFile(d.Digest))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	os.Remove(folder) // unless there are others
	return nil
}
