package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
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

// What could not be named, as when the disk is full, is nobody's.
func TestCollectRemovesWhatCouldNotBeNamed(t *testing.T) {
	root := t.TempDir()
	s := open(t, root, store.Limits{})
	collect(t, s) // looks at all, and from now on only at what is known to be left
	a := repository(t, s, "a")
	for folder, add := range map[string]func() error{
		"blobs": func() error {
			u, err := a.StartUpload()
			if err != nil {
				return err
			}
			defer u.Close()
			if err := u.Append(t.Context(), strings.NewReader("bytes")); err != nil {
				return err
			}
			return u.Finish(t.Context(), oci.DigestOf([]byte("bytes")))
		},
		"manifests": func() error {
			index := []byte(`{"schemaVersion":2,"manifests":[]}`)
			_, err := a.PutManifest(t.Context(), oci.Describe(oci.MediaTypeIndex, index), index)
			return err
		},
	} {
		inTheWay := filepath.Join(root, "repositories", "a", folder)
		if err := errors.Join(os.MkdirAll(filepath.Dir(inTheWay), 0o755), os.WriteFile(inTheWay, nil, 0o644)); err != nil {
			t.Fatal(err)
		}
		if err := add(); err == nil {
			t.Errorf("%s: it was added", folder)
		}
		if err := os.Remove(inTheWay); err != nil {
			t.Fatal(err)
		}
		if removed := collect(t, s); removed.Blobs != 1 {
			t.Errorf("%s: removed %v; want what was left", folder, removed)
		}
		if err := add(); err != nil {
			t.Errorf("%s: the next time: %v", folder, err)
		}
	}
}

// A clock that is set forward or back, by years, takes nothing from an image or from an upload that goes on, and what it did take is sent again.
func TestClocksJump(t *testing.T) {
	s := open(t, t.TempDir(), store.Limits{Grace: time.Hour, UploadAge: time.Hour})
	a := repository(t, s, "a")
	config, layer := putBlob(t, a, "{}"), putBlob(t, a, "layer")
	image := put(t, a, oci.MediaTypeManifest, manifestOf(t, config, layer), "v1")
	going, err := a.StartUpload()
	if err != nil {
		t.Fatal(err)
	}
	defer going.Close()
	for _, jump := range []int{-50, 50, -50} {
		now := time.Now().AddDate(jump, 0, 0)
		unnamed := putBlob(t, a, "unnamed")
		if err := s.Sweep(now); err != nil {
			t.Fatal(err)
		}
		removed, err := s.Collect(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		if gone := jump > 0; gone != (removed.Blobs == 1) {
			t.Errorf("%d years: removed %v", jump, removed)
		}
		for _, d := range []oci.Descriptor{config, layer} {
			readBlob(t, a, d.Digest)
		}
		if got, err := a.Resolve(t.Context(), "v1"); err != nil || got.Digest != image.Digest {
			t.Errorf("%d years: v1 is %v, %v", jump, got, err)
		}
		if _, err := a.Has(t.Context(), unnamed.Digest); (err != nil) != (jump > 0) {
			t.Errorf("%d years: the blob that no manifest names yet: %v", jump, err)
		}
	}
	if err := going.Append(t.Context(), strings.NewReader("goes on")); err != nil {
		t.Error(err)
	}
	if err := going.Finish(t.Context(), oci.DigestOf([]byte("goes on"))); err != nil {
		t.Error(err)
	}
}

func TestProcessesCollectAtOnce(t *testing.T) {
	root, to := t.TempDir(), bucket{dir.Store{Root: t.TempDir()}}
	limits, place := store.Limits{Grace: time.Hour}, store.Named{Name: "bucket", Place: to}
	stores := []*store.Store{openWith(t, root, limits, place), openWith(t, root, limits, place), openWith(t, root, limits, place)}
	const blobs = 40
	for i := range blobs {
		putBlob(t, repository(t, stores[0], fmt.Sprint("r", i%10)), fmt.Sprint("nobody names ", i))
	}
	var all errgroup.Group
	removed := make([]blob.Tally, len(stores))
	for i, s := range stores {
		all.Go(func() (err error) { removed[i], err = s.Collect(t.Context(), time.Now().Add(2*time.Hour)); return err })
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
	if n := removed[0].Plus(removed[1]).Plus(removed[2]).Blobs; n != blobs {
		t.Errorf("removed %d blobs in all, %v; want %d", n, removed, blobs)
	}
	if left, _ := filepath.Glob(filepath.Join(root, "repositories", "*")); len(left) > 0 {
		t.Errorf("left are %q", left)
	}
}
