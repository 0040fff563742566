package blob_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
)

func TestLimitedSourceIsASource(t *testing.T) {
	blobtest.TestSource(t, func(t *testing.T, bodies ...[]byte) blob.Source {
		return blob.Limit(2, directory(t, bodies))
	})
}

func TestLimitWaitsUntilABlobIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := blob.Limit(1, blobtest.Content([]byte("x")))
		first, err := s.Open(t.Context(), blobtest.Describe(nil))
		if err != nil {
			t.Fatal(err)
		}
		opened := make(chan error, 1)
		go func() {
			r, err := s.Open(t.Context(), blobtest.Describe(nil))
			if err == nil {
				r.Close()
			}
			opened <- err
		}()
		synctest.Wait()
		select {
		case <-opened:
			t.Error("the second was opened beside the first")
		default:
		}
		first.Close()
		first.Close() // closing twice frees one place, not two
		if err := <-opened; err != nil {
			t.Error(err)
		}
	})
}

func TestLimitFreesThePlaceOfABlobThatCannotBeOpened(t *testing.T) {
	s := blob.Limit(1, &mem.Store{})
	for range 3 {
		if _, err := s.Open(t.Context(), blobtest.Describe(nil)); !errors.Is(err, blob.ErrNotFound) {
			t.Fatal(err)
		}
	}
}

func TestLimitEndsWaitingWhenCancelled(t *testing.T) {
	s := blob.Limit(1, blobtest.Content(nil))
	r, err := s.Open(t.Context(), blobtest.Describe(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Open(ctx, blobtest.Describe(nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}
