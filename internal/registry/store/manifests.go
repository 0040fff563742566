package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Resolve returns the descriptor of the manifest with a tag or digest.
func (r Repository) Resolve(ctx context.Context, reference string) (oci.Descriptor, error) {
	digest, err := r.digest(reference)
	if err != nil {
		return oci.Descriptor{}, err
	}
	mediaType, err := os.ReadFile(r.manifestLink(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return oci.Descriptor{}, fmt.Errorf("%w: %s@%s", ErrManifestUnknown, r.name, digest)
	}
	if err != nil {
		return oci.Descriptor{}, err
	}
	f, err := r.open(ctx, digest, ErrManifestUnknown)
	if err != nil {
		return oci.Descriptor{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return oci.Descriptor{}, err
	}
	return oci.Descriptor{MediaType: strings.TrimSpace(string(mediaType)), Digest: digest, Size: info.Size()}, nil
}

func (r Repository) digest(reference string) (oci.Digest, error) {
	if strings.Contains(reference, ":") {
		return oci.ParseDigest(reference)
	}
	return r.tagged(reference)
}

// Manifest opens the manifest that [Repository.Resolve] has found.
func (r Repository) Manifest(ctx context.Context, d oci.Descriptor) (*os.File, error) {
	return r.open(ctx, d.Digest, ErrManifestUnknown)
}

// PutManifest stores a manifest with the digest and type of d, and moves the tags to it. It returns the manifest's subject, if it
// has one.
func (r Repository) PutManifest(ctx context.Context, d oci.Descriptor, body []byte, tags ...string) (subject oci.Digest, err error) {
	m, err := parse(d, body)
	if err != nil {
		return "", err
	}
	for _, tag := range tags {
		if err := oci.CheckTag(tag); err != nil {
			return "", fmt.Errorf("%w: %w", ErrName, err)
		}
	}
	found, err := r.findElsewhere(ctx, m.children)
	if err != nil {
		return "", err
	}
	unlock, err := r.store.toAdd()
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := r.check(ctx, m.children, found); err != nil {
		return "", err
	}
	if err := r.putManifest(ctx, d, m, body, tags); err != nil {
		r.store.collected.Store(false) // some of it may be there
		return "", err
	}
	return m.subject(), nil
}

// putManifest makes a manifest visible last, when all that it needs is there, and then its tags. What a death in between leaves
// behind is invisible.
func (r Repository) putManifest(ctx context.Context, d oci.Descriptor, m manifest, body []byte, tags []string) error {
	if err := r.store.blobs.Put(ctx, d, content(body)); err != nil {
		return err
	}
	if err := r.refer(d, m); err != nil {
		return err
	}
	if err := makeFolder(r.manifests()); err != nil {
		return err
	}
	if err := r.store.write(r.manifestLink(d.Digest), d.MediaType+"\n"); err != nil {
		return err
	}
	for _, tag := range tags {
		if err := r.tag(tag, d.Digest); err != nil {
			return err
		}
	}
	return nil
}

// findElsewhere finds those blobs among children that are in another place than the directory: the sizes in a manifest are what a cache must be
// told to find them. It is done before the lock is taken, since places may be slow.
func (r Repository) findElsewhere(ctx context.Context, children []oci.Descriptor) (map[oci.Digest]oci.Descriptor, error) {
	var ask []oci.Descriptor
	for _, c := range children {
		if oci.IsManifest(c.MediaType) || r.hasHere(ctx, c) {
			continue
		}
		ask = append(ask, oci.Descriptor{MediaType: c.MediaType, Digest: c.Digest, Size: c.Size})
	}
	return r.store.elsewhere(ctx, ask)
}

// hasHere reports whether the repository has a blob or manifest in the directory.
func (r Repository) hasHere(ctx context.Context, d oci.Descriptor) bool {
	absent, err := r.store.blobs.Missing(ctx, d)
	return err == nil && len(absent) == 0 && (exists(r.blobLink(d.Digest)) || exists(r.manifestLink(d.Digest)))
}

// check finds which children the repository lacks. Those that were found elsewhere it gets, also when others are missing: a client need not send
// them. The caller holds the lock.
func (r Repository) check(ctx context.Context, children []oci.Descriptor, found map[oci.Digest]oci.Descriptor) error {
	var missing []oci.Descriptor
	for _, c := range children {
		f, elsewhere := found[c.Digest]
		switch {
		case r.hasHere(ctx, c):
		case elsewhere && !oci.IsManifest(c.MediaType):
			if err := errors.Join(r.store.learn(f), r.link(c.Digest)); err != nil {
				return err
			}
		default:
			missing = append(missing, c)
		}
	}
	if len(missing) > 0 {
		return &MissingError{missing}
	}
	return nil
}

// DeleteManifest takes a manifest out of the repository, and with it every tag that names it, unless another manifest there refers to
// it.
func (r Repository) DeleteManifest(ctx context.Context, digest oci.Digest) error {
	unlock, err := r.store.toDelete()
	if err != nil {
		return err
	}
	defer unlock()
	d, err := r.Resolve(ctx, string(digest))
	if err != nil {
		return err
	}
	m, err := r.readManifest(ctx, d)
	if err != nil && !errors.Is(err, ErrManifestInvalid) { // what the disk has damaged must go too
		return err
	}
	if err := r.unused(ctx, digest); err != nil {
		return err
	}
	return r.deleteManifest(ctx, d, m)
}

// deleteManifest undoes putManifest, in the other order.
func (r Repository) deleteManifest(ctx context.Context, d oci.Descriptor, m manifest) error {
	if err := r.untag(ctx, d.Digest); err != nil {
		return err
	}
	r.store.collected.Store(false)
	if err := remove(r.manifestLink(d.Digest)); err != nil {
		return err
	}
	return r.unrefer(d, m)
}

func (r Repository) readManifest(ctx context.Context, d oci.Descriptor) (manifest, error) {
	f, err := r.Manifest(ctx, d)
	if err != nil {
		return manifest{}, err
	}
	defer f.Close()
	body, err := io.ReadAll(f)
	if err != nil {
		return manifest{}, err
	}
	return parse(d, body)
}

func content(body []byte) blob.Source {
	return blob.SourceFunc(func(context.Context, oci.Descriptor) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(body)), nil
	})
}
