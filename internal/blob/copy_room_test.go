package blob_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// large is a manifest of nearly the largest size, with one blob of its own.
func large(t *testing.T, s *mem.Store, n int) oci.Descriptor {
	t.Helper()
	return document(t, s, oci.MediaTypeManifest, map[string]any{
		"config": s.Add(oci.MediaTypeConfig, fmt.Appendf(nil, `{"n":%d}`, n)), "layers": []oci.Descriptor{},
		"annotations": map[string]string{"pad": strings.Repeat("x", 15<<20)},
	})
}

func document(t *testing.T, s *mem.Store, mediaType string, fields map[string]any) oci.Descriptor {
	t.Helper()
	fields["schemaVersion"], fields["mediaType"] = 2, mediaType
	body, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return s.Add(mediaType, body)
}

// watch knows how many bytes of manifests were read and not put yet. Other blobs take their time, so that as much is read meanwhile as
// may be.
type watch struct {
	mem.Store
	source *mem.Store

	mu         sync.Mutex
	held, most int64
	opened     map[oci.Digest]int
}

func (w *watch) Put(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	if !oci.IsManifest(d.MediaType) {
		time.Sleep(time.Second)
	}
	err := w.Store.Put(ctx, d, src)
	if oci.IsManifest(d.MediaType) {
		w.count(-d.Size)
	}
	return err
}

func (w *watch) from(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	if oci.IsManifest(d.MediaType) {
		w.count(d.Size)
	}
	w.mu.Lock()
	w.opened[d.Digest]++
	w.mu.Unlock()
	return w.source.Open(ctx, d)
}

func (w *watch) count(n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held += n
	w.most = max(w.most, w.held)
}

func TestCopyHoldsFewManifestsHoweverManyAnIndexNames(t *testing.T) {
	source := &mem.Store{}
	var all []oci.Descriptor
	for n := range 6 {
		all = append(all, large(t, source, n))
	}
	index := document(t, source, oci.MediaTypeIndex, map[string]any{"manifests": all})
	synctest.Test(t, func(t *testing.T) {
		w := &watch{source: source, opened: map[oci.Digest]int{}}
		if _, err := blob.Copy(t.Context(), w, blob.SourceFunc(w.from), blob.CopyOptions{}, index); err != nil {
			t.Fatal(err)
		}
		if most := int64(33 << 20); w.most > most {
			t.Errorf("held %d bytes of manifests at once; want at most %d", w.most, most)
		}
		for d, n := range w.opened {
			if n != 1 {
				t.Errorf("%s was read %d times", d, n)
			}
		}
	})
}

// TestCopyRefusesIndexesThatHoldTooMuch: each must stay in memory until all below it is there, so waiting would not help.
func TestCopyRefusesIndexesThatHoldTooMuch(t *testing.T) {
	source := &mem.Store{}
	var all []oci.Descriptor
	for n := range 4 {
		below := image(t, source, fmt.Sprint("arch", n), fmt.Sprint("layer", n))
		all = append(all, document(t, source, oci.MediaTypeIndex, map[string]any{
			"manifests": []oci.Descriptor{below}, "annotations": map[string]string{"pad": strings.Repeat("x", 15<<20)},
		}))
	}
	index := document(t, source, oci.MediaTypeIndex, map[string]any{"manifests": all})
	synctest.Test(t, func(t *testing.T) {
		w := &watch{source: source, opened: map[oci.Digest]int{}}
		_, err := blob.Copy(t.Context(), w, blob.SourceFunc(w.from), blob.CopyOptions{}, index)
		if err == nil || !strings.Contains(err.Error(), "more than the 33554432 bytes") {
			t.Errorf("error is %v; want one about the size of the indexes", err)
		}
		if most := int64(33 << 20); w.most > most {
			t.Errorf("held %d bytes at once; want at most %d", w.most, most)
		}
	})
}

func TestCopyRefusesAManifestAsALayer(t *testing.T) {
	source := &mem.Store{}
	inner := image(t, source, "amd64", "layer")
	outer := document(t, source, oci.MediaTypeManifest, map[string]any{
		"config": source.Add(oci.MediaTypeConfig, []byte("{}")), "layers": []oci.Descriptor{inner},
	})
	_, err := blob.Copy(t.Context(), &mem.Store{}, source, blob.CopyOptions{}, outer)
	if err == nil || !strings.Contains(err.Error(), "manifest "+string(outer.Digest)+": has the manifest "+string(inner.Digest)) {
		t.Errorf("error is %v; want one that names both", err)
	}
}

func TestCopyKeepsNoGoroutineForEachOfManyBlobs(t *testing.T) {
	source := &mem.Store{}
	var layers []string
	for n := range 2000 {
		layers = append(layers, fmt.Sprint(n))
	}
	root := image(t, source, "amd64", layers...)
	var most atomic.Int64
	sink := sinkFunc(func(context.Context, oci.Descriptor, blob.Source) error {
		most.Store(max(most.Load(), int64(runtime.NumGoroutine())))
		runtime.Gosched()
		return nil
	})
	if report := copyAll(t, sink, source, root); report.Mounted.Blobs != 2002 || most.Load() > 200 {
		t.Errorf("%d goroutines; want some for each of 32 jobs (report %+v)", most.Load(), report)
	}
}
