package pull_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/pull"
)

// repository is a store in memory that fails as it is told.
type repository struct {
	*mem.Store
	open    func(oci.Descriptor) (io.ReadCloser, error) // instead of the store's, where it returns something
	resolve func(context.Context) error
	mu      sync.Mutex
	opened  []oci.Digest
}

func (r *repository) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	r.mu.Lock()
	r.opened = append(r.opened, d.Digest)
	r.mu.Unlock()
	if r.open != nil {
		if body, err := r.open(d); body != nil || err != nil {
			return body, err
		}
	}
	return r.Store.Open(ctx, d)
}

func (r *repository) Resolve(ctx context.Context, reference string) (oci.Descriptor, error) {
	if r.resolve != nil {
		if err := r.resolve(ctx); err != nil {
			return oci.Descriptor{}, err
		}
	}
	return r.Store.Resolve(ctx, reference)
}

func (r *repository) Describe(ctx context.Context, digest oci.Digest) (oci.Descriptor, error) {
	body, err := r.Store.Open(ctx, oci.Descriptor{Digest: digest})
	if err != nil {
		return oci.Descriptor{}, err
	}
	n, err := io.Copy(io.Discard, body)
	return oci.Descriptor{Digest: digest, Size: n}, err
}

func origins(repositories ...*repository) []pull.Origin {
	names := []string{"first.example/a", "second.example/a", "third.example/a"}
	var all []pull.Origin
	for i, r := range repositories {
		all = append(all, pull.Origin{Name: names[i], Repository: r})
	}
	return all
}

func TestImageTakesManifestsAndConfigsAndNoLayers(t *testing.T) {
	from := &repository{Store: &mem.Store{}}
	amd64 := blobtest.Image(t, from, oci.Platform{OS: "linux", Architecture: "amd64"}, []byte("a"))
	index := blobtest.Index(t, from, amd64)
	to := &mem.Store{}
	root, err := pull.Image(t.Context(), to, origins(from), string(index.Digest))
	if err != nil || root.Digest != index.Digest {
		t.Fatalf("root is %s, %v; want %s", root.Digest, err, index.Digest)
	}
	if len(from.opened) != 3 {
		t.Errorf("opened %d blobs; want index, manifest and config", len(from.opened))
	}
}

func TestImageIgnoresAttestations(t *testing.T) {
	from := &repository{Store: &mem.Store{}}
	amd64 := blobtest.Image(t, from, oci.Platform{OS: "linux", Architecture: "amd64"}, []byte("a"))
	attestation := blobtest.Image(t, from, oci.Platform{OS: "unknown", Architecture: "unknown"}, []byte("b"))
	index := blobtest.Index(t, from, amd64, attestation)
	to := &mem.Store{}
	if _, err := pull.Image(t.Context(), to, origins(from), string(index.Digest)); err != nil {
		t.Fatal(err)
	}
	if missing, _ := to.Missing(t.Context(), attestation); len(missing) != 1 {
		t.Error("the attestation was pulled")
	}
}

func TestTheNextRegistryDeliversWhatTheFirstDoesNot(t *testing.T) {
	whole := &repository{Store: &mem.Store{}}
	image := blobtest.Image(t, whole, oci.Platform{OS: "linux", Architecture: "amd64"}, []byte("a"))
	for name, bad := range map[string]*repository{
		"it has nothing":          {Store: &mem.Store{}},
		"it refuses":              {Store: whole.Store, resolve: func(context.Context) error { return errors.New("unauthorized") }},
		"it lacks the config":     {Store: whole.Store, open: onlyManifests(nil, blob.ErrNotFound)},
		"it sends another config": {Store: whole.Store, open: onlyManifests([]byte("{}"), nil)},
	} {
		t.Run(name, func(t *testing.T) {
			to := &mem.Store{}
			if _, err := pull.Image(t.Context(), to, origins(bad, whole), string(image.Digest)); err != nil {
				t.Fatal(err)
			}
			if missing, _ := to.Missing(t.Context(), image); len(missing) != 0 {
				t.Error("the image is not there")
			}
		})
	}
}

// onlyManifests answers for everything but manifests.
func onlyManifests(body []byte, err error) func(oci.Descriptor) (io.ReadCloser, error) {
	return func(d oci.Descriptor) (io.ReadCloser, error) {
		if oci.IsManifest(d.MediaType) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return io.NopCloser(bytes.NewReader(body)), nil
	}
}

func TestAnErrorSaysWhatEachRegistrySaid(t *testing.T) {
	says := func(s string) *repository {
		return &repository{Store: &mem.Store{}, resolve: func(context.Context) error { return errors.New(s) }}
	}
	_, err := pull.Image(t.Context(), &mem.Store{}, origins(says("is down"), says("knows you not")), "latest")
	want := "pull latest: none of 2 registries delivered it:\n  first.example/a: is down\n  second.example/a: knows you not"
	if err == nil || err.Error() != want {
		t.Errorf("error is %v; want %s", err, want)
	}
}

func TestARegistryThatHangsIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole := &repository{Store: &mem.Store{}}
		image := blobtest.Image(t, whole, oci.Platform{OS: "linux", Architecture: "amd64"}, []byte("a"))
		hangs := &repository{Store: whole.Store, resolve: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		if _, err := pull.Image(t.Context(), &mem.Store{}, origins(hangs, whole), string(image.Digest)); err != nil {
			t.Fatal(err)
		}
		dead := &repository{Store: &mem.Store{}}
		_, err := pull.Image(t.Context(), &mem.Store{}, origins(hangs, dead), string(image.Digest))
		if err == nil || !strings.Contains(err.Error(), "first.example/a: no answer within 30s") {
			t.Errorf("error is %v", err)
		}
	})
}

// stalled sends some bytes, and then nothing until ctx ends.
type stalled struct {
	ctx  context.Context
	sent bool
}

func (s *stalled) Read(p []byte) (int, error) {
	if !s.sent {
		s.sent = true
		return copy(p, "{"), nil
	}
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func (s *stalled) Close() error { return nil }

func TestARegistryThatStallsIsPassedOver(t *testing.T) {
	for name, stall := range map[string]func(context.Context) (io.ReadCloser, error){
		"before its answer": func(ctx context.Context) (io.ReadCloser, error) { <-ctx.Done(); return nil, ctx.Err() },
		"in the middle":     func(ctx context.Context) (io.ReadCloser, error) { return &stalled{ctx: ctx}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				whole := &repository{Store: &mem.Store{}}
				image := blobtest.Image(t, whole, oci.Platform{OS: "linux", Architecture: "amd64"}, []byte("a"))
				stalls := pull.Origin{Name: "first.example/a", Repository: opener{whole, stall}}
				to := &mem.Store{}
				if _, err := pull.Image(t.Context(), to, append([]pull.Origin{stalls}, origins(whole)...), string(image.Digest)); err != nil {
					t.Fatal(err)
				}
				_, err := pull.Image(t.Context(), &mem.Store{}, append([]pull.Origin{stalls}, origins(&repository{Store: &mem.Store{}})...), string(image.Digest))
				if err == nil || !strings.Contains(err.Error(), "no answer within 30s") {
					t.Errorf("error is %v", err)
				}
			})
		})
	}
}

// opener is a repository that opens blobs in its own way.
type opener struct {
	*repository
	stall func(context.Context) (io.ReadCloser, error)
}

func (o opener) Open(ctx context.Context, _ oci.Descriptor) (io.ReadCloser, error) {
	return o.stall(ctx)
}

func TestASlowReaderIsNotImpatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole := &repository{Store: &mem.Store{}}
		image := blobtest.Image(t, whole, oci.Platform{OS: "linux", Architecture: "amd64"}, []byte("a"))
		from := pull.Origin{Name: "first.example/a", Repository: mindful{whole}}
		nothing := origins(&repository{Store: &mem.Store{}})[0]
		if _, err := pull.Image(t.Context(), slow{&mem.Store{}}, []pull.Origin{from, nothing}, string(image.Digest)); err != nil {
			t.Error(err)
		}
	})
}

// mindful is a repository whose answers end with their context, as a network's do.
type mindful struct{ *repository }

func (m mindful) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	r, err := m.repository.Open(ctx, d)
	return struct {
		io.Reader
		io.Closer
	}{readerFunc(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return r.Read(p)
	}), r}, err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// slow is a store that takes a minute between reads.
type slow struct{ *mem.Store }

func (s slow) Put(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	return s.Store.Put(ctx, d, blob.SourceFunc(func(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
		r, err := src.Open(ctx, d)
		if err != nil {
			return nil, err
		}
		time.Sleep(time.Minute)
		return r, nil
	}))
}

func TestBlobsAreTakenWithAndWithoutASize(t *testing.T) {
	from := &repository{Store: &mem.Store{}}
	a, b := from.Add(oci.MediaTypeLayer, []byte("one")), from.Add(oci.MediaTypeLayer, []byte("another"))
	b.Size = 0
	to := &mem.Store{}
	if err := pull.Blobs(t.Context(), to, origins(from), a, b); err != nil {
		t.Fatal(err)
	}
	for _, d := range []oci.Descriptor{a, b} {
		if _, err := to.Open(t.Context(), d); err != nil {
			t.Error(err)
		}
	}
}

func TestACancelledPullAsksNobodyElse(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	first := &repository{Store: &mem.Store{}, resolve: func(context.Context) error { cancel(); return errors.New("cut off") }}
	second := &repository{Store: &mem.Store{}, resolve: func(context.Context) error { t.Error("asked"); return nil }}
	if _, err := pull.Image(ctx, &mem.Store{}, origins(first, second), "latest"); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v; want context.Canceled", err)
	}
}
