package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

func open(t testing.TB, root string, limits store.Limits) *store.Store {
	t.Helper()
	s, err := store.Open(root, limits)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func repository(t testing.TB, s *store.Store, name string) store.Repository {
	t.Helper()
	r, err := s.Repository(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newRepository(t testing.TB) store.Repository {
	return repository(t, open(t, t.TempDir(), store.Limits{}), "team/app")
}

func TestARepositoryIsAStoreOfBlobs(t *testing.T) {
	blobtest.Test(t, func(t *testing.T) blobtest.Store { return port{newRepository(t)} })
}

func TestOpenRefusesAnotherFormat(t *testing.T) {
	root := t.TempDir()
	os.WriteFile(filepath.Join(root, "format"), []byte("rules_img registry 2\n"), 0o644)
	if _, err := store.Open(root, store.Limits{}); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("error is %v", err)
	}
}

func TestNamesOfRepositoriesAreChecked(t *testing.T) {
	s := open(t, t.TempDir(), store.Limits{})
	for _, name := range []string{"", ".", "..", "../escape", "a//b", "/a", "a/", "A", "a@b", "a\x00b", strings.Repeat("a", 256)} {
		if _, err := s.Repository(name); !errors.Is(err, store.ErrName) {
			t.Errorf("%q: error is %v; want ErrName", name, err)
		}
	}
}

func TestABlobIsSeenOnlyWhereItWasPut(t *testing.T) {
	s := open(t, t.TempDir(), store.Limits{})
	d := putBlob(t, repository(t, s, "a"), "secret")
	if _, err := repository(t, s, "b").Blob(t.Context(), d.Digest, 0); !errors.Is(err, store.ErrBlobUnknown) {
		t.Errorf("b has it: %v", err)
	}
}

func TestMount(t *testing.T) {
	s := open(t, t.TempDir(), store.Limits{})
	a, b := repository(t, s, "a"), repository(t, s, "b")
	d := putBlob(t, a, "shared")
	if err := b.Mount(t.Context(), d.Digest, repository(t, s, "c")); !errors.Is(err, store.ErrBlobUnknown) {
		t.Errorf("mounted from where it is not: %v", err)
	}
	if err := b.Mount(t.Context(), d.Digest, a); err != nil {
		t.Fatal(err)
	}
	if err := a.Mount(t.Context(), d.Digest, a); err != nil {
		t.Errorf("from itself: %v", err)
	}
	if err := a.DeleteBlob(t.Context(), d.Digest); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Blob(t.Context(), d.Digest, 0); !errors.Is(err, store.ErrBlobUnknown) {
		t.Errorf("a has it still: %v", err)
	}
	if got := readBlob(t, b, d.Digest); got != "shared" {
		t.Errorf("b has %q", got)
	}
}

func TestMountFromAny(t *testing.T) {
	s := open(t, t.TempDir(), store.Limits{})
	b, d := repository(t, s, "b"), oci.Describe("", []byte("shared"))
	if err := b.MountFromAny(t.Context(), d.Digest); !errors.Is(err, store.ErrBlobUnknown) {
		t.Errorf("mounted from nowhere: %v", err)
	}
	putBlob(t, repository(t, s, "x/y"), "shared")
	if err := b.MountFromAny(t.Context(), d.Digest); err != nil {
		t.Fatal(err)
	}
	if got := readBlob(t, b, d.Digest); got != "shared" {
		t.Errorf("b has %q", got)
	}
}

func TestADeletedBlobCannotBeMounted(t *testing.T) {
	s := open(t, t.TempDir(), store.Limits{})
	a, b := repository(t, s, "a"), repository(t, s, "b")
	d := putBlob(t, a, "gone")
	if err := a.DeleteBlob(t.Context(), d.Digest); err != nil {
		t.Fatal(err)
	}
	if err := b.MountFromAny(t.Context(), d.Digest); !errors.Is(err, store.ErrBlobUnknown) {
		t.Errorf("error is %v", err)
	}
}

func TestPushesOfOneImageAtOnce(t *testing.T) {
	s := open(t, t.TempDir(), store.Limits{})
	var all errgroup.Group
	for i := range 8 {
		all.Go(func() error {
			r := port{repository(t, s, []string{"a", "b"}[i%2])}
			d := blobtest.Image(t, r, oci.Platform{OS: "linux", Architecture: "amd64"}, []byte("one"), []byte("two"))
			return r.Tag(t.Context(), d, "latest")
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		if _, err := repository(t, s, name).Resolve(t.Context(), "latest"); err != nil {
			t.Error(err)
		}
	}
}

func TestSweepRemovesOldTemporaryFilesOnly(t *testing.T) {
	root := t.TempDir()
	s := open(t, root, store.Limits{})
	old, young := filepath.Join(root, "temp", "old"), filepath.Join(root, "temp", "young")
	for _, path := range []string{old, young} {
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.Chtimes(old, time.Time{}, time.Now().Add(-2*time.Hour))
	if err := s.Sweep(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old file is there: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Error(err)
	}
}

func putBlob(t testing.TB, r store.Repository, body string) oci.Descriptor {
	t.Helper()
	d := blobtest.Describe([]byte(body))
	if err := (port{r}).Put(t.Context(), d, blobtest.Content([]byte(body))); err != nil {
		t.Fatal(err)
	}
	return d
}

func readBlob(t testing.TB, r store.Repository, digest oci.Digest) string {
	t.Helper()
	f, err := r.Blob(t.Context(), digest, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	body, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// port makes a repository a store of blobs, as a client sees it over HTTP, so that the suite for these can test it.
type port struct{ store.Repository }

func (p port) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	f, err := p.Blob(ctx, d.Digest, 0)
	if errors.Is(err, store.ErrBlobUnknown) {
		var found oci.Descriptor
		if found, err = p.Repository.Resolve(ctx, string(d.Digest)); err == nil {
			f, err = p.Manifest(ctx, found)
		}
	}
	if errors.Is(err, store.ErrManifestUnknown) {
		return nil, errors.Join(blob.ErrNotFound, err)
	}
	return f, err
}

func (p port) Missing(ctx context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error) {
	var missing []oci.Descriptor
	for _, d := range ds {
		r, err := p.Open(ctx, d)
		if errors.Is(err, blob.ErrNotFound) {
			missing = append(missing, d)
			continue
		}
		if err != nil {
			return nil, err
		}
		r.Close()
	}
	return missing, nil
}

func (p port) Put(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	r, err := blob.Verify("source", src).Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	if oci.IsManifest(d.MediaType) {
		return p.putManifest(ctx, d, r)
	}
	u, err := p.StartUpload()
	if err != nil {
		return err
	}
	defer u.Close()
	if err := u.Append(ctx, r); err != nil {
		return errors.Join(err, u.Cancel())
	}
	return u.Finish(ctx, d.Digest)
}

func (p port) putManifest(ctx context.Context, d oci.Descriptor, r io.Reader, tags ...string) error {
	body, err := io.ReadAll(r)
	if err == nil {
		_, err = p.PutManifest(ctx, d, body, tags...)
	}
	return err
}

func (p port) Tag(ctx context.Context, d oci.Descriptor, tag string) error {
	r, err := p.Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	return p.putManifest(ctx, d, r, tag)
}

func (p port) Resolve(ctx context.Context, reference string) (oci.Descriptor, error) {
	d, err := p.Repository.Resolve(ctx, reference)
	if errors.Is(err, store.ErrManifestUnknown) {
		err = errors.Join(blob.ErrNotFound, err)
	}
	return d, err
}

// put stores a document of any shape as a manifest.
func put(t testing.TB, r store.Repository, mediaType, document string, tags ...string) oci.Descriptor {
	t.Helper()
	d := oci.Describe(mediaType, []byte(document))
	if err := (port{r}).putManifest(t.Context(), d, bytes.NewReader([]byte(document)), tags...); err != nil {
		t.Fatal(err)
	}
	return d
}
