package store_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

func start(t *testing.T, r store.Repository) *store.Upload {
	t.Helper()
	u, err := r.StartUpload()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func add(t *testing.T, u *store.Upload, text string) {
	t.Helper()
	if err := u.Append(t.Context(), strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
}

func again(t *testing.T, r store.Repository, u *store.Upload) *store.Upload {
	t.Helper()
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	u, err := r.Upload(u.ID())
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func uploadFiles(t *testing.T, root string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "uploads", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestAnUploadArrivesInPieces(t *testing.T) {
	root := t.TempDir()
	r := repository(t, open(t, root, store.Limits{}), "a")
	u := start(t, r)
	add(t, u, "one ")
	u = again(t, r, u)
	add(t, u, "two")
	if u.Size() != 7 {
		t.Errorf("it has %d bytes", u.Size())
	}
	digest := oci.DigestOf([]byte("one two"))
	if err := u.Finish(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	u.Close()
	if got := readBlob(t, r, digest); got != "one two" {
		t.Errorf("the blob is %q", got)
	}
	if _, err := r.Upload(u.ID()); !errors.Is(err, store.ErrUploadUnknown) {
		t.Errorf("the finished upload: %v", err)
	}
	if left := uploadFiles(t, root); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}

func TestAnUploadGoesOnAfterARestart(t *testing.T) {
	root := t.TempDir()
	u := start(t, repository(t, open(t, root, store.Limits{}), "a"))
	add(t, u, "before ")
	u.Close()
	r := repository(t, open(t, root, store.Limits{}), "a")
	u, err := r.Upload(u.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	add(t, u, "and after")
	digest := oci.DigestOf([]byte("before and after"))
	if err := u.Finish(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	if got := readBlob(t, r, digest); got != "before and after" {
		t.Errorf("the blob is %q", got)
	}
}

func TestTwoProcessesContinueOneUpload(t *testing.T) {
	root := t.TempDir()
	one, two := repository(t, open(t, root, store.Limits{}), "a"), repository(t, open(t, root, store.Limits{}), "a")
	u := start(t, one)
	add(t, u, "a")
	u = again(t, two, u)
	add(t, u, "b")
	if _, err := one.Upload(u.ID()); !errors.Is(err, store.ErrUploadBusy) {
		t.Errorf("while the other has it: %v; want ErrUploadBusy", err)
	}
	u = again(t, one, u)
	defer u.Close()
	add(t, u, "c")
	if err := u.Finish(t.Context(), oci.DigestOf([]byte("abc"))); err != nil {
		t.Error(err)
	}
}

func TestAnUploadIsKnownToItsRepositoryOnly(t *testing.T) {
	s := open(t, t.TempDir(), store.Limits{})
	u := start(t, repository(t, s, "a"))
	u.Close()
	for _, id := range []string{u.ID(), "", "..", strings.Repeat("0", 32), "../../format"} {
		if _, err := repository(t, s, "b").Upload(id); !errors.Is(err, store.ErrUploadUnknown) {
			t.Errorf("%q: %v; want ErrUploadUnknown", id, err)
		}
	}
}

func TestOneRequestAtATimeHasAnUpload(t *testing.T) {
	r := newRepository(t)
	u := start(t, r)
	if _, err := r.Upload(u.ID()); !errors.Is(err, store.ErrUploadBusy) {
		t.Errorf("error is %v; want ErrUploadBusy", err)
	}
	u = again(t, r, u)
	u.Close()
}

func TestWrongBytesAreGivenUp(t *testing.T) {
	root := t.TempDir()
	r := repository(t, open(t, root, store.Limits{}), "a")
	u := start(t, r)
	defer u.Close()
	add(t, u, "wrong")
	digest := oci.DigestOf([]byte("right"))
	if err := u.Finish(t.Context(), digest); !errors.Is(err, blob.ErrMismatch) {
		t.Errorf("error is %v; want ErrMismatch", err)
	}
	if _, err := r.Blob(t.Context(), digest, 0); !errors.Is(err, store.ErrBlobUnknown) {
		t.Errorf("the blob: %v", err)
	}
	if left := uploadFiles(t, root); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}

// Whoever knows only a digest must not get the blob that others have by it.
func TestADigestAloneGivesNoAccess(t *testing.T) {
	s := open(t, t.TempDir(), store.Limits{})
	d := putBlob(t, repository(t, s, "a"), "secret")
	b := repository(t, s, "b")
	u := start(t, b)
	defer u.Close()
	if err := u.Finish(t.Context(), d.Digest); !errors.Is(err, blob.ErrMismatch) {
		t.Errorf("error is %v; want ErrMismatch", err)
	}
	if _, err := b.Blob(t.Context(), d.Digest, 0); !errors.Is(err, store.ErrBlobUnknown) {
		t.Errorf("b has the blob: %v", err)
	}
}

func TestWhatCameBeforeAnErrorStays(t *testing.T) {
	r, broken := newRepository(t), errors.New("broken")
	u := start(t, r)
	err := u.Append(t.Context(), io.MultiReader(strings.NewReader("half "), failing{broken}))
	if !errors.Is(err, broken) {
		t.Fatalf("error is %v", err)
	}
	u = again(t, r, u)
	defer u.Close()
	add(t, u, "and half")
	if err := u.Finish(t.Context(), oci.DigestOf([]byte("half and half"))); err != nil {
		t.Error(err)
	}
}

func TestBlobsMayBeAsLargeAsTheLimit(t *testing.T) {
	r := repository(t, open(t, t.TempDir(), store.Limits{BlobSize: 4}), "a")
	u := start(t, r)
	defer u.Close()
	add(t, u, "1234")
	if err := u.Append(t.Context(), strings.NewReader("5")); !errors.Is(err, store.ErrSize) {
		t.Errorf("error is %v; want ErrSize", err)
	}
}

func TestUnfinishedUploadsAreCounted(t *testing.T) {
	s := open(t, t.TempDir(), store.Limits{Uploads: 2})
	a, b := repository(t, s, "a"), repository(t, s, "b")
	u := start(t, a)
	start(t, b).Close()
	if _, err := b.StartUpload(); !errors.Is(err, store.ErrUploads) {
		t.Errorf("error is %v; want ErrUploads", err)
	}
	if err := u.Cancel(); err != nil {
		t.Fatal(err)
	}
	u.Close()
	start(t, b).Close()
}

func TestSweepGivesUpOldUploads(t *testing.T) {
	root := t.TempDir()
	s := open(t, root, store.Limits{UploadAge: time.Hour})
	r := repository(t, s, "a")
	old, held, young := start(t, r), start(t, r), start(t, r)
	old.Close()
	young.Close()
	defer held.Close()
	for _, path := range uploadFiles(t, root) {
		if !strings.Contains(path, young.ID()) {
			os.Chtimes(path, time.Time{}, time.Now().Add(-2*time.Hour))
		}
	}
	if err := s.Sweep(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Upload(old.ID()); !errors.Is(err, store.ErrUploadUnknown) {
		t.Errorf("the old one: %v", err)
	}
	if err := held.Finish(t.Context(), oci.DigestOf(nil)); err != nil {
		t.Errorf("the one that a request has: %v", err)
	}
	if u, err := r.Upload(young.ID()); err != nil {
		t.Errorf("the young one: %v", err)
	} else {
		u.Close()
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
