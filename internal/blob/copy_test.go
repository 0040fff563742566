package blob_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

func TestCopyPutsChildrenBeforeParentsAndEachOnce(t *testing.T) {
	source := &mem.Store{}
	a := image(t, source, "amd64", "base", "app for amd64")
	b := image(t, source, "arm64", "base", "app for arm64")
	index := blobtest.Index(t, source, a, b)
	sink := &lawful{t: t, source: source}
	report, err := blob.Copy(t.Context(), sink, source, blob.CopyOptions{}, index, a, index)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(sink.puts); got != 8 || report.Moved.Blobs != 8 { // 3 layers, 2 configs, 2 manifests, the index
		t.Errorf("%d puts, %d blobs reported as moved; want 8", got, report.Moved.Blobs)
	}
	if slices.Sort(sink.puts); len(slices.Compact(sink.puts)) != 8 {
		t.Errorf("a blob was put twice: %v", sink.puts)
	}
}

func TestCopyAsksAboutAllRootsAtOnce(t *testing.T) {
	source := &mem.Store{}
	a, b := image(t, source, "amd64", "a"), image(t, source, "amd64", "b")
	sink := &lawful{t: t, source: source}
	copyAll(t, sink, source, a, b)
	if first := sink.asked[0]; len(first) != 2 {
		t.Errorf("the first question is about %d descriptors; want both roots", len(first))
	}
}

func TestCopyOfWhatIsThereIsOneQuestion(t *testing.T) {
	source := &mem.Store{}
	index := blobtest.Index(t, source, image(t, source, "amd64", "a"), image(t, source, "arm64", "b"))
	sink := &lawful{t: t, source: source}
	copyAll(t, sink, source, index)
	sink.asked, sink.puts = nil, nil
	report := copyAll(t, sink, nil, index)
	if len(sink.asked) != 1 || len(sink.puts) != 0 {
		t.Errorf("asked %d times and put %d blobs; want one question", len(sink.asked), len(sink.puts))
	}
	if want := (blob.Report{Present: blob.Tally{Blobs: 1, Bytes: index.Size}}); report != want {
		t.Errorf("report is %+v; want %+v", report, want)
	}
}

func TestCopyMovesOnlyWhatChanged(t *testing.T) {
	source := &mem.Store{}
	sink := &lawful{t: t, source: source}
	copyAll(t, sink, source, image(t, source, "amd64", "base", "old"))
	sink.puts = nil
	changed := image(t, source, "amd64", "base", "new")
	report := copyAll(t, sink, source, changed)
	if len(sink.puts) != 3 || report.Moved.Blobs != 3 || report.Present.Blobs != 1 {
		t.Errorf("put %d blobs, report %+v; want layer, config and manifest moved, the base present", len(sink.puts), report)
	}
}

func TestCopyDoesNotLookBelowAManifestThatIsThere(t *testing.T) {
	source := &mem.Store{}
	there := image(t, source, "amd64", "there")
	sink := &lawful{t: t, source: source}
	copyAll(t, sink, source, there)
	sink.asked = nil
	copyAll(t, sink, source, blobtest.Index(t, source, there, image(t, source, "arm64", "new")))
	for _, question := range sink.asked {
		if slices.ContainsFunc(question, func(d oci.Descriptor) bool { return d.Digest == oci.DigestOf([]byte("there")) }) {
			t.Error("asked about a layer of a manifest that is there")
		}
	}
}

func TestCopyShallowLeavesOutLayers(t *testing.T) {
	source, sink := &mem.Store{}, &mem.Store{}
	d := image(t, source, "amd64", "layer")
	report, err := blob.Copy(t.Context(), sink, source, blob.CopyOptions{Shallow: true}, blobtest.Index(t, source, d))
	if err != nil || report.Moved.Blobs != 3 {
		t.Errorf("moved %d blobs, %v; want index, manifest and config", report.Moved.Blobs, err)
	}
	if _, err := sink.Open(t.Context(), blobtest.Describe([]byte("layer"))); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("open the layer: %v; want ErrNotFound", err)
	}
}

func TestCopyCountsAsMountedWhatTheSinkDidNotPull(t *testing.T) {
	source := &mem.Store{}
	d := image(t, source, "amd64", "layer")
	sink := sinkFunc(func(context.Context, oci.Descriptor, blob.Source) error { return nil })
	if report := copyAll(t, sink, source, d); report.Mounted.Blobs != 3 || report.Moved.Blobs != 0 {
		t.Errorf("report is %+v; want 3 mounted", report)
	}
}

func TestCopyGoesOnWhenOneRootFails(t *testing.T) {
	source, sink := &mem.Store{}, &mem.Store{}
	bad := image(t, source, "amd64", "shared", "bad layer")
	good := image(t, source, "amd64", "shared", "good layer")
	broken := without(source, oci.DigestOf([]byte("bad layer")))
	_, err := blob.Copy(t.Context(), sink, broken, blob.CopyOptions{}, bad, good)
	if !errors.Is(err, blob.ErrNotFound) || !strings.Contains(err.Error(), "copy "+string(bad.Digest)) {
		t.Errorf("error is %v; want one that names the bad root and wraps ErrNotFound", err)
	}
	if strings.Contains(err.Error(), string(good.Digest)) {
		t.Errorf("error names the good root: %v", err)
	}
	if missing, _ := sink.Missing(t.Context(), good, bad); len(missing) != 1 || missing[0].Digest != bad.Digest {
		t.Errorf("missing is %v; want the bad root alone", missing)
	}
}

// The bad root starts to move the shared layer and then fails: the good one has to start it again.
func TestCopyTakesOverWhatAFailedRootHadStarted(t *testing.T) {
	source, store := &mem.Store{}, &mem.Store{}
	bad := image(t, source, "amd64", "shared", "bad layer")
	good := image(t, source, "arm64", "shared", "good layer")
	shared, badLayer := oci.DigestOf([]byte("shared")), oci.DigestOf([]byte("bad layer"))
	started := make(chan struct{})
	var attempts atomic.Int64
	sink := sinkFunc(func(ctx context.Context, d oci.Descriptor, src blob.Source) error {
		switch d.Digest {
		case badLayer:
			<-started
			return errors.New("disk full")
		case shared:
			if attempts.Add(1) == 1 {
				close(started)
				<-ctx.Done()
				return errors.New("broke off for a reason that is not the context's")
			}
		}
		return store.Put(ctx, d, src)
	})
	_, err := blob.Copy(t.Context(), sink, deferred(source, good, started), blob.CopyOptions{}, bad, good)
	if err == nil || strings.Contains(err.Error(), string(good.Digest)) {
		t.Errorf("error is %v; want the bad root's alone", err)
	}
	if missing, _ := store.Missing(t.Context(), good); len(missing) != 0 {
		t.Error("the good root is missing")
	}
}

func TestCopyVerifiesManifests(t *testing.T) {
	source := &mem.Store{}
	d := image(t, source, "amd64", "layer")
	other := image(t, source, "arm64", "other")
	swapped := blob.SourceFunc(func(ctx context.Context, want oci.Descriptor) (io.ReadCloser, error) {
		if want.Digest == d.Digest {
			want = other
		}
		return source.Open(ctx, want)
	})
	if _, err := blob.Copy(t.Context(), &mem.Store{}, swapped, blob.CopyOptions{}, d); !errors.Is(err, blob.ErrMismatch) {
		t.Errorf("error is %v; want ErrMismatch", err)
	}
}

func TestCopyRefusesAHugeManifest(t *testing.T) {
	d := oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: oci.DigestOf(nil), Size: oci.MaxManifestSize + 1}
	source := blob.SourceFunc(func(context.Context, oci.Descriptor) (io.ReadCloser, error) {
		t.Error("opened it")
		return nil, blob.ErrNotFound
	})
	if _, err := blob.Copy(t.Context(), &mem.Store{}, source, blob.CopyOptions{}, d); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("error is %v; want one about the size", err)
	}
}

func TestCopyMovesNoMoreThanJobsAtOnce(t *testing.T) {
	source := &mem.Store{}
	var roots []oci.Descriptor
	for i := range 10 {
		roots = append(roots, image(t, source, "amd64", fmt.Sprint("a", i), fmt.Sprint("b", i)))
	}
	for _, jobs := range []int{1, 3} {
		turn := make(chan struct{}, jobs)
		sink := sinkFunc(func(context.Context, oci.Descriptor, blob.Source) error {
			select {
			case turn <- struct{}{}:
			default:
				t.Errorf("more than %d at once", jobs)
			}
			runtime.Gosched()
			<-turn
			return nil
		})
		if _, err := blob.Copy(t.Context(), sink, source, blob.CopyOptions{Jobs: jobs}, roots...); err != nil {
			t.Error(err)
		}
	}
}

func TestCopyEndsWhenCancelled(t *testing.T) {
	source := &mem.Store{}
	a, b := image(t, source, "amd64", "a"), image(t, source, "amd64", "b")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("somebody pressed Ctrl-C")
	sink := sinkFunc(func(ctx context.Context, d oci.Descriptor, _ blob.Source) error {
		cancel(why)
		<-ctx.Done()
		return ctx.Err()
	})
	_, err := blob.Copy(ctx, sink, source, blob.CopyOptions{}, a, b)
	if !errors.Is(err, why) || strings.Contains(err.Error(), string(a.Digest)) {
		t.Errorf("error is %v; want the cause, once", err)
	}
}

func TestCopyOfABlobThatIsNoManifest(t *testing.T) {
	source, sink := &mem.Store{}, &mem.Store{}
	d := source.Add(oci.MediaTypeLayerGzip, []byte("alone"))
	if report := copyAll(t, sink, source, d); report.Moved != (blob.Tally{Blobs: 1, Bytes: 5}) {
		t.Errorf("report is %+v", report)
	}
}

// lawful is a sink that fails the test when a parent comes before its children.
type lawful struct {
	mem.Store
	t      *testing.T
	source *mem.Store

	mu    sync.Mutex
	puts  []string
	asked [][]oci.Descriptor
}

func (s *lawful) Missing(ctx context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error) {
	s.mu.Lock()
	s.asked = append(s.asked, ds)
	s.mu.Unlock()
	return s.Store.Missing(ctx, ds...)
}

func (s *lawful) Put(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	s.mu.Lock()
	s.puts = append(s.puts, string(d.Digest))
	s.mu.Unlock()
	if oci.IsManifest(d.MediaType) {
		s.wantChildren(ctx, d)
	}
	return s.Store.Put(ctx, d, src)
}

func (s *lawful) wantChildren(ctx context.Context, d oci.Descriptor) {
	r, err := s.source.Open(ctx, d)
	if err != nil {
		s.t.Error(err)
		return
	}
	body, _ := io.ReadAll(r)
	children, err := oci.Children(d, body)
	if err != nil {
		s.t.Error(err)
	}
	if missing, _ := s.Store.Missing(ctx, children...); len(missing) > 0 {
		s.t.Errorf("manifest %s is put before %d of its children", d.Digest, len(missing))
	}
}

// sinkFunc is a sink that lacks everything.
type sinkFunc func(context.Context, oci.Descriptor, blob.Source) error

func (f sinkFunc) Missing(_ context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error) {
	return ds, nil
}

func (f sinkFunc) Put(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	return f(ctx, d, src)
}

// without is source, less one blob.
func without(source blob.Source, digest oci.Digest) blob.Source {
	return blob.SourceFunc(func(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
		if d.Digest == digest {
			return nil, fmt.Errorf("blob %s: %w", d.Digest, blob.ErrNotFound)
		}
		return source.Open(ctx, d)
	})
}

// deferred is source, where one blob can be opened only after start.
func deferred(source blob.Source, late oci.Descriptor, start <-chan struct{}) blob.Source {
	return blob.SourceFunc(func(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
		if d.Digest == late.Digest {
			<-start
		}
		return source.Open(ctx, d)
	})
}

func image(t *testing.T, s blob.Sink, arch string, layers ...string) oci.Descriptor {
	t.Helper()
	var bodies [][]byte
	for _, l := range layers {
		bodies = append(bodies, []byte(l))
	}
	return blobtest.Image(t, s, oci.Platform{OS: "linux", Architecture: arch}, bodies...)
}

func copyAll(t *testing.T, sink blob.Sink, source blob.Source, roots ...oci.Descriptor) blob.Report {
	t.Helper()
	report, err := blob.Copy(t.Context(), sink, source, blob.CopyOptions{}, roots...)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestCopyWithOneJobKeepsTheOrderOfTheDocuments(t *testing.T) {
	source := &mem.Store{}
	a := image(t, source, "amd64", "one", "two", "three", "four")
	b := image(t, source, "arm64", "five", "six", "seven", "two")
	index := blobtest.Index(t, source, a, b)
	var first []string
	for range 20 {
		sink := &lawful{t: t, source: source}
		if _, err := blob.Copy(t.Context(), sink, source, blob.CopyOptions{Jobs: 1}, index); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = sink.puts
		}
		if !slices.Equal(first, sink.puts) {
			t.Fatalf("put %v, and another time %v", first, sink.puts)
		}
	}
}

func TestCopyLeavesOut(t *testing.T) {
	source := &mem.Store{}
	a, b := image(t, source, "amd64", "a"), image(t, source, "arm64", "b")
	index := blobtest.Index(t, source, a, b)
	sink := &mem.Store{}
	leave := func(d oci.Descriptor) bool { return d.Digest == b.Digest }
	report, err := blob.Copy(t.Context(), sink, source, blob.CopyOptions{Leave: leave}, index)
	if err != nil || report.Moved.Blobs != 4 {
		t.Errorf("moved %d blobs, %v; want one layer, one config, one manifest and the index", report.Moved.Blobs, err)
	}
	if missing, _ := sink.Missing(t.Context(), b); len(missing) != 1 {
		t.Error("moved what is to be left out")
	}
}
