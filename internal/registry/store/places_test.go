package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

// readOnly is a place that takes nothing.
type readOnly struct{ store.Place }

// bucket is a place that takes and deletes, and is not the store's own directory.
type bucket struct{ dir.Store }

// byBLAKE3 finds blobs only for who knows their other digest.
type byBLAKE3 struct{ store.Place }

func (p byBLAKE3) OpenRange(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	if d.Annotations[store.BLAKE3] == "" {
		return nil, blob.ErrNotFound
	}
	return p.Place.OpenRange(ctx, d, offset)
}

func (p byBLAKE3) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return p.OpenRange(ctx, d, 0)
}

func (p byBLAKE3) Missing(ctx context.Context, ds ...oci.Descriptor) (missing []oci.Descriptor, err error) {
	for _, d := range ds {
		if d.Annotations[store.BLAKE3] == "" {
			missing = append(missing, d)
		} else if m, err := p.Place.Missing(ctx, d); err != nil || len(m) > 0 {
			return append(missing, m...), err
		}
	}
	return missing, nil
}

// broken is a place that can't be asked.
type broken struct{ store.Place }

func (broken) Open(context.Context, oci.Descriptor) (io.ReadCloser, error) {
	return nil, errors.New("it is away")
}

func (broken) OpenRange(context.Context, oci.Descriptor, int64) (io.ReadCloser, error) {
	return nil, errors.New("it is away")
}

func (broken) Missing(context.Context, ...oci.Descriptor) ([]oci.Descriptor, error) {
	return nil, errors.New("it is away")
}

func openWith(t testing.TB, root string, limits store.Limits, places ...store.Named) *store.Store {
	t.Helper()
	s, err := store.Open(root, limits, places...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// manifestOf is the manifest of an image whose config and layers are these.
func manifestOf(t testing.TB, config oci.Descriptor, layers ...oci.Descriptor) string {
	t.Helper()
	b, err := json.Marshal(oci.Manifest{
		Versioned: oci.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeManifest, Config: config, Layers: layers,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func tryPut(t testing.TB, r store.Repository, document string, tags ...string) error {
	t.Helper()
	return port{r}.putManifest(t.Context(), oci.Describe(oci.MediaTypeManifest, []byte(document)), strings.NewReader(document), tags...)
}

// A manifest tells the sizes by which a cache knows its blobs: nothing else is needed to serve them, also after a restart.
func TestAManifestTellsWhereBlobsAre(t *testing.T) {
	var cache mem.Store
	root, places := t.TempDir(), []store.Named{{Name: "cache", Place: readOnly{&cache}}, {Name: store.Dir}}
	layer := blobtest.Bytes("layer", 100_000)
	d, config := cache.Add(oci.MediaTypeLayerGzip, layer), cache.Add(oci.MediaTypeConfig, []byte("{}"))
	put(t, repository(t, openWith(t, root, store.Limits{}, places...), "a"), oci.MediaTypeManifest, manifestOf(t, config, d), "v1")

	r := repository(t, openWith(t, root, store.Limits{}, places...), "a")
	if got := readBlob(t, r, d.Digest); got != string(layer) {
		t.Errorf("the layer has %d other bytes", len(got))
	}
	for _, offset := range []int64{1, 50_000, int64(len(layer))} {
		c, err := r.Blob(t.Context(), d.Digest, 7) // where reading begins after all is another place
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Seek(offset, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, layer[offset:]) {
			t.Errorf("from %d on there are %d bytes, %v", offset, len(got), err)
		}
		c.Close()
	}
	if _, err := repository(t, openWith(t, root, store.Limits{}, places...), "b").Blob(t.Context(), d.Digest, 0); !errors.Is(err, store.ErrBlobUnknown) {
		t.Errorf("another repository has it too: %v", err)
	}
}

func TestACommitIsRememberedAndAnswersWhatIsMissing(t *testing.T) {
	var cache mem.Store
	root, places := t.TempDir(), []store.Named{{Name: "cache", Place: readOnly{byBLAKE3{&cache}}}, {Name: store.Dir}}
	d, config := cache.Add(oci.MediaTypeLayerGzip, []byte("layer")), oci.Describe(oci.MediaTypeConfig, []byte("{}"))
	told := d
	told.Annotations = map[string]string{store.BLAKE3: strings.Repeat("ab", 32)}

	s := openWith(t, root, store.Limits{}, places...)
	putBlob(t, repository(t, s, "other"), "{}")
	nowhere := blobtest.Describe([]byte("nowhere"))
	missing, err := repository(t, s, "a").Commit(t.Context(), told, nowhere, config)
	if err != nil || len(missing) != 1 || missing[0].Digest != nowhere.Digest {
		t.Errorf("missing are %v, %v; want what is nowhere", missing, err)
	}

	r := repository(t, openWith(t, root, store.Limits{}, places...), "a")
	put(t, r, oci.MediaTypeManifest, manifestOf(t, config, d))
	if got := readBlob(t, r, d.Digest); got != "layer" {
		t.Errorf("the layer is %q", got)
	}
}

// What a manifest lacks is named, and only that: the rest need not be sent.
func TestARefusedManifestBringsWhatWasFound(t *testing.T) {
	var cache mem.Store
	s := openWith(t, t.TempDir(), store.Limits{}, store.Named{Name: "cache", Place: readOnly{&cache}}, store.Named{Name: store.Dir})
	r := repository(t, s, "a")
	there, lacking := cache.Add(oci.MediaTypeLayerGzip, []byte("there")), oci.Describe(oci.MediaTypeConfig, []byte("{}"))
	var missing *store.MissingError
	if err := tryPut(t, r, manifestOf(t, lacking, there)); !errors.As(err, &missing) || len(missing.Missing) != 1 || missing.Missing[0].Digest != lacking.Digest {
		t.Fatalf("error is %v; want the config to be missing", err)
	}
	if err := r.Mount(t.Context(), there.Digest, r); err != nil {
		t.Errorf("what was found can't be mounted: %v", err)
	}
	putBlob(t, r, "{}")
	if err := tryPut(t, r, manifestOf(t, lacking, there)); err != nil {
		t.Error(err)
	}
}

func TestABlobThatIsGoneSaysWhoWasAsked(t *testing.T) {
	cache := bucket{dir.Store{Root: t.TempDir()}}
	s := openWith(t, t.TempDir(), store.Limits{}, store.Named{Name: "cache", Place: readOnly{cache}}, store.Named{Name: store.Dir})
	r := repository(t, s, "a")
	d := putBlob(t, r, "{}")
	layer := blobtest.Describe([]byte("evicted"))
	if err := cache.Put(t.Context(), layer, blobtest.Content([]byte("evicted"))); err != nil {
		t.Fatal(err)
	}
	put(t, r, oci.MediaTypeManifest, manifestOf(t, d, layer))
	if err := cache.Delete(t.Context(), layer.Digest); err != nil {
		t.Fatal(err)
	}
	_, err := r.Blob(t.Context(), layer.Digest, 0)
	if gone := new(store.GoneError); !errors.As(err, &gone) || !errors.Is(err, store.ErrBlobUnknown) || !strings.Contains(err.Error(), "source cache: ") {
		t.Errorf("reading says %v", err)
	}
	if _, err := r.Has(t.Context(), layer.Digest); !errors.Is(err, store.ErrBlobUnknown) || !strings.Contains(err.Error(), "none of cache, dir has it") {
		t.Errorf("asking says %v", err)
	}
}

func TestAPlaceInTroubleMayHaveTheBlob(t *testing.T) {
	var cache mem.Store
	root := t.TempDir()
	d, config := cache.Add(oci.MediaTypeLayerGzip, []byte("layer")), cache.Add(oci.MediaTypeConfig, []byte("{}"))
	put(t, repository(t, openWith(t, root, store.Limits{}, store.Named{Name: "cache", Place: readOnly{&cache}}), "a"), oci.MediaTypeManifest, manifestOf(t, config, d))

	r := repository(t, openWith(t, root, store.Limits{}, store.Named{Name: "cache", Place: broken{&cache}}), "a")
	if _, err := r.Blob(t.Context(), d.Digest, 0); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("reading says %v", err)
	}
	if err := tryPut(t, r, manifestOf(t, config)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("putting a manifest says %v", err)
	}
	if _, err := r.Commit(t.Context(), d); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a commit says %v", err)
	}
}

// A cache whose bytes are wrong must not look as if they were right.
func TestWrongBytesDoNotArriveAsAWhole(t *testing.T) {
	cache := bucket{dir.Store{Root: t.TempDir()}}
	s := openWith(t, t.TempDir(), store.Limits{}, store.Named{Name: "cache", Place: readOnly{cache}}, store.Named{Name: store.Dir})
	r := repository(t, s, "a")
	body := blobtest.Bytes("right", 100_000)
	d := blobtest.Describe(body)
	if err := cache.Put(t.Context(), d, blobtest.Content(body)); err != nil {
		t.Fatal(err)
	}
	put(t, r, oci.MediaTypeManifest, manifestOf(t, putBlob(t, r, "{}"), d))
	path, _ := cache.Path(d)
	body[len(body)-1]++
	if err := errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, body, 0o644)); err != nil {
		t.Fatal(err)
	}
	c, err := r.Blob(t.Context(), d.Digest, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if !errors.Is(err, blob.ErrMismatch) || len(got) >= len(body) {
		t.Errorf("%d of %d bytes arrive, %v", len(got), len(body), err)
	}
	if !errors.Is(c.Close(), blob.ErrMismatch) {
		t.Error("closing does not say what was wrong")
	}
}

func TestUploadsGoToTheFirstPlaceThatTakesAny(t *testing.T) {
	root, to := t.TempDir(), bucket{dir.Store{Root: t.TempDir()}}
	var cache mem.Store
	s := openWith(t, root, store.Limits{}, store.Named{Name: "cache", Place: readOnly{&cache}}, store.Named{Name: "bucket", Place: to}, store.Named{Name: store.Dir})
	blobtest.Test(t, func(t *testing.T) blobtest.Store {
		return port{repository(t, openWith(t, t.TempDir(), store.Limits{}, store.Named{Name: "bucket", Place: bucket{dir.Store{Root: t.TempDir()}}}), "a")}
	})
	r := repository(t, s, "a")
	d := putBlob(t, r, "uploaded")
	if missing, err := to.Missing(t.Context(), d); err != nil || len(missing) > 0 {
		t.Errorf("it is not in the bucket, %v", err)
	}
	if files, _ := filepath.Glob(filepath.Join(root, "*", "*", d.Digest.Encoded())); len(files) > 0 {
		t.Errorf("it is in the directory: %q", files)
	}
	if got := readBlob(t, r, d.Digest); got != "uploaded" {
		t.Errorf("it is %q", got)
	}
	if files := uploadFiles(t, root); len(files) > 0 {
		t.Errorf("the upload is left: %q", files)
	}
	none := repository(t, openWith(t, t.TempDir(), store.Limits{}, store.Named{Name: "cache", Place: readOnly{&cache}}), "a")
	if _, err := none.StartUpload(); !errors.Is(err, store.ErrNoUploads) {
		t.Errorf("without a place for uploads, one is begun: %v", err)
	}
}

// opened counts how often a place is opened, and remembers what it was told of where the blob is from.
type opened struct {
	store.Place
	times   *int
	origins *string
}

func (p opened) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return p.OpenRange(ctx, d, 0)
}

func (p opened) OpenRange(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	*p.times++
	*p.origins = d.Annotations[store.Origins]
	return p.Place.OpenRange(ctx, d, offset)
}

// A blob of several ranges is read by another goroutine than the one that closes it.
func TestWhatIsClosedIsNotOpenedAnew(t *testing.T) {
	var cache mem.Store
	var times int
	s := openWith(t, t.TempDir(), store.Limits{}, store.Named{Name: "cache", Place: opened{readOnly{&cache}, &times, new(string)}}, store.Named{Name: store.Dir})
	d, r := cache.Add(oci.MediaTypeConfig, []byte("{}")), repository(t, s, "a")
	put(t, r, oci.MediaTypeManifest, manifestOf(t, d))
	c, err := r.Blob(t.Context(), d.Digest, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Seek(1, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil || times != 1 {
		t.Errorf("it is opened %d times, and reading says %d, %v", times, n, err)
	}
}

// What several pushes say at once of one blob is all remembered, by all processes.
func TestNoCommitIsLostToAnother(t *testing.T) {
	var cache mem.Store
	var origins string
	root, places := t.TempDir(), []store.Named{{Name: "cache", Place: opened{readOnly{&cache}, new(int), &origins}}, {Name: store.Dir}}
	r, other := repository(t, openWith(t, root, store.Limits{}, places...), "a"), repository(t, openWith(t, root, store.Limits{}, places...), "a")
	for n := range 20 {
		d := cache.Add(oci.MediaTypeConfig, fmt.Appendf(nil, "{%d}", n))
		var all errgroup.Group
		for push := range 8 {
			told := oci.Descriptor{Digest: d.Digest, Size: d.Size, Annotations: map[string]string{store.Origins: fmt.Sprint("reg.test/", push)}}
			to := []store.Repository{r, other}[push%2]
			all.Go(func() error { _, err := to.Commit(t.Context(), told); return err })
		}
		if err := all.Wait(); err != nil {
			t.Fatal(err)
		}
		put(t, r, oci.MediaTypeManifest, manifestOf(t, d))
		readBlob(t, r, d.Digest)
		if got := strings.Fields(origins); len(got) != 8 {
			t.Fatalf("of 8 origins there are %q", got)
		}
	}
}

// What was put when uploads went to the directory is there as long as it is said to be.
func TestTheDirectoryIsReadWhereItTakesNothing(t *testing.T) {
	root := t.TempDir()
	d := putBlob(t, repository(t, open(t, root, store.Limits{}), "a"), "{}")

	to := bucket{dir.Store{Root: t.TempDir()}}
	r := repository(t, openWith(t, root, store.Limits{}, store.Named{Name: "bucket", Place: to}), "a")
	if _, err := r.Has(t.Context(), d.Digest); err != nil {
		t.Errorf("asking says %v", err)
	}
	if got := readBlob(t, r, d.Digest); got != "{}" {
		t.Errorf("it is %q", got)
	}
	put(t, r, oci.MediaTypeManifest, manifestOf(t, d, putBlob(t, r, "new")))
	if missing, err := to.Missing(t.Context(), blobtest.Describe([]byte("new"))); err != nil || len(missing) > 0 {
		t.Errorf("what is put is not in the bucket, %v", err)
	}
}

func TestCollectRemovesWhatNoManifestNamesAfterTheGrace(t *testing.T) {
	for name, place := range map[string]store.Named{
		"directory": {Name: store.Dir},
		"bucket":    {Name: "bucket", Place: bucket{dir.Store{Root: t.TempDir()}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := openWith(t, t.TempDir(), store.Limits{Grace: time.Hour}, place)
			r := repository(t, s, "a")
			kept, lost := putBlob(t, r, "{}"), putBlob(t, r, "nobody names it")
			put(t, r, oci.MediaTypeManifest, manifestOf(t, kept))
			if removed, err := s.Collect(t.Context(), time.Now().Add(59*time.Minute)); err != nil || removed != (blob.Tally{}) {
				t.Errorf("within the grace, removed %v, %v", removed, err)
			}
			removed, err := s.Collect(t.Context(), time.Now().Add(2*time.Hour))
			if err != nil || removed != (blob.Tally{Blobs: 1, Bytes: lost.Size}) {
				t.Errorf("after the grace, removed %v, %v; want %v", removed, err, lost.Size)
			}
			if _, err := r.Has(t.Context(), lost.Digest); !errors.Is(err, store.ErrBlobUnknown) {
				t.Errorf("it is there: %v", err)
			}
			if got := readBlob(t, r, kept.Digest); got != "{}" {
				t.Errorf("what a manifest names is %q", got)
			}
			putBlob(t, r, "nobody names it")
			if got := readBlob(t, r, lost.Digest); got != "nobody names it" {
				t.Errorf("what was put again is %q", got)
			}
		})
	}
}

// Whoever put something else there wants it.
func TestCollectDeletesInTheBucketOnlyWhatWasUploaded(t *testing.T) {
	to := bucket{dir.Store{Root: t.TempDir()}}
	s := openWith(t, t.TempDir(), store.Limits{Grace: time.Hour}, store.Named{Name: "bucket", Place: to})
	found := blobtest.Describe([]byte("of somebody else"))
	if err := to.Put(t.Context(), found, blobtest.Content([]byte("of somebody else"))); err != nil {
		t.Fatal(err)
	}
	r := repository(t, s, "a")
	if missing, err := r.Commit(t.Context(), found); err != nil || len(missing) > 0 {
		t.Fatalf("missing are %v, %v", missing, err)
	}
	putBlob(t, r, "of somebody else") // which does not make it ours
	ours := putBlob(t, r, "ours")
	if _, err := r.Commit(t.Context(), ours); err != nil { // nor this another's
		t.Fatal(err)
	}
	removed, err := s.Collect(t.Context(), time.Now().Add(2*time.Hour))
	if err != nil || removed != (blob.Tally{Blobs: 1, Bytes: ours.Size}) {
		t.Errorf("removed %v, %v; want ours", removed, err)
	}
	if missing, err := to.Missing(t.Context(), found, ours); err != nil || len(missing) != 1 || missing[0].Digest != ours.Digest {
		t.Errorf("gone are %v, %v; want ours", missing, err)
	}
}

func TestWhatACommitSaidIsForgottenWithoutAManifest(t *testing.T) {
	var cache mem.Store
	root := t.TempDir()
	s := openWith(t, root, store.Limits{Grace: time.Hour}, store.Named{Name: "cache", Place: readOnly{&cache}})
	d := cache.Add(oci.MediaTypeLayerGzip, []byte("layer"))
	if _, err := repository(t, s, "a").Commit(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		files, err := filepath.Glob(filepath.Join(root, "known", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{time.Minute, 1}, {2 * time.Hour, 0}} {
		if _, err := s.Collect(t.Context(), time.Now().Add(c.after)); err != nil || count() != c.want {
			t.Errorf("after %v, %d blobs are known, %v; want %d", c.after, count(), err, c.want)
		}
	}
}

// Whatever is collected meanwhile, a manifest that is taken has all that it names.
func TestCollectUnusedAndPushAtOnce(t *testing.T) {
	s := openWith(t, t.TempDir(), store.Limits{Grace: time.Nanosecond}, store.Named{Name: "bucket", Place: bucket{dir.Store{Root: t.TempDir()}}}, store.Named{Name: store.Dir})
	var pushing, collecting errgroup.Group
	taken := make([]int, 2)
	for i := range taken {
		r := repository(t, s, fmt.Sprintf("r%d", i))
		pushing.Go(func() error {
			for n := range 30 {
				config, layer := fmt.Sprintf("{%d}", n), fmt.Sprint("layer ", n)
				for _, body := range []string{config, layer} {
					if err := (port{r}).Put(t.Context(), blobtest.Describe([]byte(body)), blobtest.Content([]byte(body))); err != nil && !errors.Is(err, blob.ErrNotFound) {
						return err
					}
				}
				err := tryPut(t, r, manifestOf(t, oci.Describe(oci.MediaTypeConfig, []byte(config)), blobtest.Describe([]byte(layer))))
				if missing := new(store.MissingError); errors.As(err, &missing) {
					continue // collected before
				}
				if err != nil {
					return err
				}
				taken[i]++
				for _, body := range []string{config, layer} {
					if _, err := r.Has(t.Context(), oci.DigestOf([]byte(body))); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	done := make(chan struct{})
	collecting.Go(func() error {
		for {
			select {
			case <-done:
				return nil
			default:
				if _, err := s.Collect(t.Context(), time.Now()); err != nil {
					return err
				}
			}
		}
	})
	err := pushing.Wait()
	close(done)
	if err := errors.Join(err, collecting.Wait()); err != nil {
		t.Error(err)
	}
	t.Logf("%d manifests of 60 were taken", taken[0]+taken[1])
}
