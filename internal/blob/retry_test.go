package blob_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

func TestIsTransient(t *testing.T) {
	for _, row := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("anything"), false},
		{fmt.Errorf("x: %w", context.Canceled), false},
		{fmt.Errorf("x: %w", blob.ErrNotFound), false},
		{fmt.Errorf("x: %w", blob.ErrMismatch), false},
		{fmt.Errorf("x: %w", io.ErrUnexpectedEOF), true},
		{fmt.Errorf("x: %w", busy{}), true},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, true},
		{&net.OpError{Op: "readfrom", Err: &net.OpError{Op: "write", Err: net.ErrClosed}}, true},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		{&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}, false},
		{&net.OpError{Op: "dial", Err: &net.DNSError{IsTemporary: true}}, true},
		{&net.OpError{Op: "remote error", Err: errors.New("bad certificate")}, false},
		{x509.UnknownAuthorityError{}, false},
	} {
		if got := blob.IsTransient(row.err); got != row.want {
			t.Errorf("IsTransient(%v) = %v; want %v", row.err, got, row.want)
		}
	}
}

func TestRetryTriesUntilItSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		start := time.Now()
		err := blob.Retry{}.Do(t.Context(), func() error {
			if tries++; tries < 4 {
				return busy{}
			}
			return nil
		})
		if err != nil || tries != 4 {
			t.Errorf("tried %d times, %v", tries, err)
		}
		// 250 ms, 500 ms, 1 s, of each up to half left out
		if waited := time.Since(start); waited < 875*time.Millisecond || waited > 1750*time.Millisecond {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestRetryGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		err := blob.Retry{Attempts: 3}.Do(t.Context(), func() error { tries++; return busy{} })
		if tries != 3 || !errors.Is(err, busy{}) || !strings.Contains(err.Error(), "tried 3 times") {
			t.Errorf("tried %d times, %v", tries, err)
		}
	})
}

// serving is an error of a store that takes what others want meanwhile.
type serving struct{ busy }

func (serving) Busy() bool { return true }

func TestRetryTriesMoreOftenWhereOthersAreServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		err := blob.Retry{Attempts: 3}.Do(t.Context(), func() error { tries++; return serving{} })
		if tries != 6 || !errors.Is(err, busy{}) {
			t.Errorf("tried %d times, %v", tries, err)
		}
	})
}

// further is an error of an attempt that got further than those before.
type further struct{ busy }

func (further) Progressed() bool { return true }

func TestRetryDoesNotCountWhatGetsFurther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		err := blob.Retry{Attempts: 3}.Do(t.Context(), func() error {
			if tries++; tries < 20 {
				return further{}
			}
			return busy{}
		})
		if tries != 21 || !errors.Is(err, busy{}) { // the last that got further counts as the first of three
			t.Errorf("tried %d times, %v", tries, err)
		}
	})
}

func TestRetryDoesNotTryAgainWhatCannotPass(t *testing.T) {
	tries := 0
	blob.Retry{}.Do(t.Context(), func() error { tries++; return errors.New("no") })
	if tries != 1 {
		t.Errorf("tried %d times", tries)
	}
}

func TestRetryWaitsAsLongAsTheStoreAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		tries := 0
		err := blob.Retry{}.Do(t.Context(), func() error {
			if tries++; tries == 1 {
				return busy{after: 20 * time.Second}
			}
			return nil
		})
		if waited := time.Since(start); err != nil || waited != 20*time.Second {
			t.Errorf("waited %v, %v; want 20s", waited, err)
		}
		err = blob.Retry{}.Do(t.Context(), func() error { return busy{after: time.Hour} })
		if waited := time.Since(start); waited != 20*time.Second || err == nil || !strings.Contains(err.Error(), "1h0m0s") {
			t.Errorf("asked to wait an hour: waited %v, %v; want an error at once", waited, err)
		}
	})
}

func TestRetryEndsWhenCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := blob.Retry{Wait: time.Minute}.Do(ctx, func() error { return busy{} })
		if waited := time.Since(start); waited != time.Second || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, busy{}) {
			t.Errorf("after %v: %v", waited, err)
		}
	})
}

func TestRetryResumesABrokenReadWhereItBroke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := blobtest.Bytes("resumed", 100_000)
		s := &breaking{body: body, every: 30_000}
		got, err := readFrom(t, blob.Retry{}.Source(s))(blobtest.Describe(body))
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("read %d bytes, %v; want all %d", len(got), err, len(body))
		}
		if want := []int64{0, 30_000, 60_000, 90_000}; fmt.Sprint(s.offsets) != fmt.Sprint(want) {
			t.Errorf("opened at %v; want %v", s.offsets, want)
		}
	})
}

func TestRetryGivesUpAReadThatNeverGetsFurther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := []byte("stuck")
		_, err := readFrom(t, blob.Retry{}.Source(&breaking{body: body}))(blobtest.Describe(body))
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("error is %v", err)
		}
	})
}

func TestRetryPassesOnABrokenReadOfASourceWithoutRanges(t *testing.T) {
	body := []byte("half")
	s := &breaking{body: body, every: 2}
	_, err := readFrom(t, blob.Retry{}.Source(blob.SourceFunc(s.Open)))(blobtest.Describe(body))
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(s.offsets) != 1 {
		t.Errorf("error is %v after opening at %v", err, s.offsets)
	}
}

func TestRetryingStoreIsAStore(t *testing.T) {
	blobtest.Test(t, func(*testing.T) blobtest.Store {
		s := &mem.Store{}
		return struct {
			blobSource
			blobSink
		}{blob.Retry{}.Source(s).(blobSource), blob.Retry{}.Sink(s).(blobSink)}
	})
}

func TestRetryPutsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		sink := blob.Retry{}.Sink(sinkFunc(func(context.Context, oci.Descriptor, blob.Source) error {
			if tries++; tries < 3 {
				return busy{}
			}
			return nil
		}))
		if err := sink.Put(t.Context(), oci.Descriptor{}, nil); err != nil || tries != 3 {
			t.Errorf("tried %d times, %v", tries, err)
		}
	})
}

type blobSource interface {
	blob.Source
	blob.RangeOpener
	blob.Resolver
}

type blobSink interface {
	blob.Sink
	blob.Tagger
}

// busy is an error of a store that asks to come back later.
type busy struct{ after time.Duration }

func (busy) Error() string               { return "busy" }
func (busy) Transient() bool             { return true }
func (b busy) RetryAfter() time.Duration { return b.after }
func (b busy) Is(target error) bool      { _, ok := target.(busy); return ok }

// breaking is a source whose readers break off after a number of bytes.
type breaking struct {
	body    []byte
	every   int64
	offsets []int64
}

func (s *breaking) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return s.OpenRange(ctx, d, 0)
}

func (s *breaking) OpenRange(_ context.Context, _ oci.Descriptor, offset int64) (io.ReadCloser, error) {
	s.offsets = append(s.offsets, offset)
	rest := s.body[offset:]
	if int64(len(rest)) <= s.every {
		return io.NopCloser(bytes.NewReader(rest)), nil
	}
	return io.NopCloser(io.MultiReader(bytes.NewReader(rest[:s.every]), broken{})), nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
