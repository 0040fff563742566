package dir_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// arrived is a file that has body and is open, as Adopt takes it.
func arrived(t *testing.T, body string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "arrived"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(body); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAdopt(t *testing.T) {
	s, d := dir.Store{Root: filepath.Join(t.TempDir(), "not", "there")}, blobtest.Describe([]byte("in pieces"))
	for _, when := range []string{"new", "there already"} {
		f := arrived(t, "in pieces")
		if err := s.Adopt(d, f); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if got := read(t, s, d); string(got) != "in pieces" {
			t.Errorf("%s: the blob is %q", when, got)
		}
		if _, err := os.Stat(f.Name()); err == nil {
			t.Errorf("%s: the file is still where it was", when)
		}
	}
}

func TestAdoptRefuses(t *testing.T) {
	s := dir.Store{Root: t.TempDir()}
	short := blobtest.Describe([]byte("longer than it is"))
	if err := s.Adopt(short, arrived(t, "short")); !errors.Is(err, blob.ErrMismatch) {
		t.Errorf("another size: %v; want ErrMismatch", err)
	}
	if _, err := s.Open(t.Context(), short); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("and then it is there: %v", err)
	}
	if err := s.Adopt(oci.Descriptor{Digest: "sha256:../../x", Size: 5}, arrived(t, "short")); err == nil {
		t.Error("took what is no digest")
	}
}
