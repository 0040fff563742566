package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

func collect(t *testing.T, s *store.Store) blob.Tally {
	t.Helper()
	removed, err := s.Collect(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return removed
}

func TestCollectRemovesWhatNoRepositoryHas(t *testing.T) {
	root := t.TempDir()
	s := open(t, root, store.Limits{})
	a, b := repository(t, s, "a"), repository(t, s, "b")
	shared, gone := putBlob(t, a, "shared"), putBlob(t, a, "gone")
	putBlob(t, b, "shared")
	index := put(t, a, oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`, "x")
	if removed := collect(t, s); removed.Blobs != 0 {
		t.Errorf("removed %v when all is in use", removed)
	}
	for _, d := range []oci.Descriptor{shared, gone} {
		if err := a.DeleteBlob(t.Context(), d.Digest); err != nil {
			t.Fatal(err)
		}
	}
	if removed := collect(t, s); removed != (blob.Tally{Blobs: 1, Bytes: gone.Size}) {
		t.Errorf("removed %v; want one blob", removed)
	}
	if got := readBlob(t, b, shared.Digest); got != "shared" {
		t.Errorf("what b has too is %q", got)
	}
	if err := a.DeleteManifest(t.Context(), index.Digest); err != nil {
		t.Fatal(err)
	}
	if removed := collect(t, s); removed != (blob.Tally{Blobs: 1, Bytes: index.Size}) {
		t.Errorf("removed %v; want the manifest", removed)
	}
	if files, _ := filepath.Glob(filepath.Join(root, "blobs", "sha256", "*")); len(files) != 1 {
		t.Errorf("left are %q; want one", files)
	}
}

func TestCollectRemovesWhatADeadProcessLeft(t *testing.T) {
	root := t.TempDir()
	s := open(t, root, store.Limits{})
	a := repository(t, s, "a")
	d := putBlob(t, a, "unlinked")
	collect(t, s)
	if err := a.DeleteBlob(t.Context(), d.Digest); err != nil {
		t.Fatal(err)
	}
	if removed := collect(t, open(t, root, store.Limits{})); removed.Blobs != 1 {
		t.Errorf("removed %v; want one blob", removed)
	}
}

// Blobs that come and go in one repository must stay whole in the other, whatever is collected meanwhile.
func TestCollectAndPushAtOnce(t *testing.T) {
	s, body := open(t, t.TempDir(), store.Limits{}), []byte("back and forth")
	d := blobtest.Describe(body)
	var all errgroup.Group
	for _, name := range []string{"a", "b"} {
		r := port{repository(t, s, name)}
		all.Go(func() error {
			for range 50 {
				if err := r.Put(t.Context(), d, blobtest.Content(body)); err != nil {
					return err
				}
				f, err := r.Blob(t.Context(), d.Digest, 0)
				if err != nil {
					return err
				}
				f.Close()
				if err := r.DeleteBlob(t.Context(), d.Digest); err != nil {
					return err
				}
			}
			return nil
		})
	}
	all.Go(func() error {
		for range 100 {
			if _, err := s.Collect(t.Context(), time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
}
