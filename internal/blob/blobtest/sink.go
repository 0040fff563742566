package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

func testSink(t *testing.T, open func(*testing.T) Store) {
	t.Run("HoldsWhatWasPut", func(t *testing.T) {
		s, body := open(t), Bytes("large", 9<<20+3)
		wantBody(t, s, put(t, s, body), body)
	})
	t.Run("HoldsTheEmptyBlob", func(t *testing.T) {
		s := open(t)
		wantBody(t, s, put(t, s, nil), nil)
	})
	t.Run("TakesTheSameTwice", func(t *testing.T) {
		s, body := open(t), []byte("twice")
		put(t, s, body)
		wantBody(t, s, put(t, s, body), body)
	})
	t.Run("TakesOneBlobManyTimesAtOnce", func(t *testing.T) { putAtOnce(t, open(t)) })
	t.Run("ClosesWhatItOpened", func(t *testing.T) { closesAll(t, open(t)) })
	t.Run("KnowsWhatIsMissing", func(t *testing.T) { knowsMissing(t, open(t)) })
}

func putAtOnce(t *testing.T, s Store) {
	body := Bytes("at once", 1<<20)
	d := Describe(body)
	var all errgroup.Group
	for range 8 {
		all.Go(func() error { return s.Put(t.Context(), d, Content(body)) })
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	wantBody(t, s, d, body)
}

func closesAll(t *testing.T, s Store) {
	var open atomic.Int64
	count := func(body []byte) blob.Source {
		return blob.SourceFunc(func(context.Context, oci.Descriptor) (io.ReadCloser, error) {
			open.Add(1)
			return closer{bytes.NewReader(body), func() { open.Add(-1) }}, nil
		})
	}
	body := []byte("closed")
	if err := s.Put(t.Context(), Describe(body), count(body)); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), Describe([]byte("others")), count(body)); err == nil {
		t.Error("took bytes that are not the descriptor's")
	}
	if n := open.Load(); n != 0 {
		t.Errorf("%d readers of the source are open when Put has returned", n)
	}
}

// knowsMissing asks about manifests, since a sink may call every other blob missing.
func knowsMissing(t *testing.T, s Store) {
	here := Image(t, s, oci.Platform{OS: "linux", Architecture: "amd64"}, []byte("layer"))
	a, b := oci.Describe(oci.MediaTypeManifest, []byte("a")), oci.Describe(oci.MediaTypeManifest, []byte("b"))
	got, err := s.Missing(t.Context(), b, here, a)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Digest != b.Digest || got[1].Digest != a.Digest {
		t.Errorf("missing are %v; want %s and %s in this order", got, b.Digest, a.Digest)
	}
	if got, err := s.Missing(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("of nothing, %v is missing, %v", got, err)
	}
}

func testRefusals(t *testing.T, open func(*testing.T) Store) {
	body := Bytes("refused", 200_000)
	d := Describe(body)
	wrong := bytes.Clone(body)
	wrong[len(wrong)/2]++
	long := append(bytes.Clone(body), 'x')
	for name, src := range map[string]blob.Source{
		"ShortBytes": Content(body[:len(body)-1]),
		"NoBytes":    Content(nil),
		"LongBytes":  Content(long),
		"WrongBytes": Content(wrong),
		"BytesOfASourceThatFails": blob.SourceFunc(func(context.Context, oci.Descriptor) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(body[:100_000]), failing{errBroken})), nil
		}),
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			if err := s.Put(t.Context(), d, src); err == nil {
				t.Error("took them")
			}
			wantInvisible(t, s, d)
			wantBody(t, s, put(t, s, body), body) // and a good source mends it
		})
	}
	t.Run("AWrongSize", func(t *testing.T) {
		s, lied := open(t), d
		lied.Size--
		if err := s.Put(t.Context(), lied, Content(body)); err == nil {
			t.Error("took it")
		}
	})
	t.Run("WhatTheSourceLacks", func(t *testing.T) { passesNotFound(t, open(t), d) })
	t.Run("WhatIsNoDigest", func(t *testing.T) {
		bad := d
		bad.Digest = "sha256:../../escaped"
		if err := open(t).Put(t.Context(), bad, Content(body)); err == nil {
			t.Error("took it")
		}
	})
	t.Run("WhatIsCancelled", func(t *testing.T) { stopsWhenCancelled(t, open(t), d, body) })
}

func passesNotFound(t *testing.T, s Store, d oci.Descriptor) {
	absent := blob.SourceFunc(func(context.Context, oci.Descriptor) (io.ReadCloser, error) { return nil, blob.ErrNotFound })
	if err := s.Put(t.Context(), d, absent); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("error is %v; want it to wrap the source's ErrNotFound", err)
	}
	wantInvisible(t, s, d)
}

// stopsWhenCancelled cancels in the middle of a blob whose source then waits, as a network does, for its context.
func stopsWhenCancelled(t *testing.T, s Store, d oci.Descriptor, body []byte) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	src := blob.SourceFunc(func(ctx context.Context, _ oci.Descriptor) (io.ReadCloser, error) {
		stuck := readerFunc(func([]byte) (int, error) { cancel(); <-ctx.Done(); return 0, ctx.Err() })
		return io.NopCloser(io.MultiReader(bytes.NewReader(body[:1000]), stuck)), nil
	})
	if err := s.Put(ctx, d, src); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v; want it to wrap context.Canceled", err)
	}
	wantInvisible(t, s, d)
}

var errBroken = errors.New("the source broke")

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

type closer struct {
	io.Reader
	closed func()
}

func (c closer) Close() error { c.closed(); return nil }
