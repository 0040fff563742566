package blobtest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/blob"
)

type filler = func(t *testing.T, bodies ...[]byte) blob.Source

func testOpen(t *testing.T, fill filler) {
	small, large := []byte("small"), Bytes("large", 3<<20+1)
	t.Run("ReadsWhatItHolds", func(t *testing.T) {
		s := fill(t, small, large)
		wantBody(t, s, Describe(small), small)
		wantBody(t, s, Describe(large), large)
	})
	t.Run("ReadsTheEmptyBlob", func(t *testing.T) {
		wantBody(t, fill(t, nil), Describe(nil), nil)
	})
	t.Run("SaysNotFound", func(t *testing.T) {
		s := fill(t, small)
		if _, err := s.Open(t.Context(), Describe(large)); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("error is %v; want it to wrap ErrNotFound", err)
		}
	})
	t.Run("RefusesWhatIsNoDigest", func(t *testing.T) {
		s, d := fill(t, small), Describe(small)
		d.Digest = "sha256:../../../etc/passwd"
		if r, err := s.Open(t.Context(), d); err == nil {
			r.Close()
			t.Errorf("opened %s", d.Digest)
		}
	})
	t.Run("OpensOneBlobManyTimesAtOnce", func(t *testing.T) {
		s := fill(t, large)
		var all errgroup.Group
		for range 4 {
			all.Go(func() error { wantBody(t, s, Describe(large), large); return nil })
		}
		all.Wait()
	})
}

func testRange(t *testing.T, fill filler) {
	body := Bytes("range", 300_000)
	s := fill(t, body)
	ranger, ok := s.(blob.RangeOpener)
	if !ok {
		return
	}
	for _, offset := range []int64{0, 1, 150_000, 299_999, 300_000} {
		r, err := ranger.OpenRange(t.Context(), Describe(body), offset)
		if err != nil {
			t.Errorf("open at %d: %v", offset, err)
			continue
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, body[offset:]) {
			t.Errorf("from %d: got %d bytes, %v; want the last %d", offset, len(got), err, len(body[offset:]))
		}
		r.Close()
	}
	if _, err := ranger.OpenRange(t.Context(), Describe([]byte("absent")), 3); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("of a blob that is not there: error is %v; want it to wrap ErrNotFound", err)
	}
	if r, err := ranger.OpenRange(t.Context(), Describe(body), 300_001); err == nil {
		r.Close()
		t.Error("opened behind the end")
	}
}

func testPath(t *testing.T, fill filler) {
	body := Bytes("path", 100_000)
	s := fill(t, body)
	pather, ok := s.(blob.Pather)
	if !ok {
		return
	}
	path, ok := pather.Path(Describe(body))
	if !ok {
		t.Fatal("has no path for a blob that it holds")
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, body) {
		t.Errorf("file %s: %d bytes, %v; want the blob's %d", path, len(got), err, len(body))
	}
	if path, ok := pather.Path(Describe([]byte("absent"))); ok {
		t.Errorf("has the path %s for a blob that it does not hold", path)
	}
}
