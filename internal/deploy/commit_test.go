package deploy_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// cacheRegistry is a repository of a registry that has what was put into it and what is in a cache, and that takes no manifest without
// the blobs that it names.
type cacheRegistry struct {
	mem.Store
	cached []oci.Digest
}

func (r *cacheRegistry) open(oci.Reference) (deploy.Repository, error) { return r, nil }

func (r *cacheRegistry) lacks(ctx context.Context, d oci.Descriptor) bool {
	missing, err := r.Store.Missing(ctx, d)
	return err != nil || len(missing) > 0 && !slices.Contains(r.cached, d.Digest)
}

// complete looks for what a manifest names.
func (r *cacheRegistry) complete(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	body, err := blob.ReadAll(ctx, "manifest", src, d)
	if err != nil {
		return err
	}
	children, err := oci.Children(d, body)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(children, func(c oci.Descriptor) bool { return r.lacks(ctx, c) }); i >= 0 {
		return fmt.Errorf("%w: %s", blob.ErrLacking, children[i].Digest)
	}
	return nil
}

func (r *cacheRegistry) Put(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	if !oci.IsManifest(d.MediaType) && !r.lacks(ctx, d) {
		return nil // mounted
	}
	if oci.IsManifest(d.MediaType) {
		if err := r.complete(ctx, d, src); err != nil {
			return err
		}
	}
	return r.Store.Put(ctx, d, src)
}

func (r *cacheRegistry) Tag(ctx context.Context, d oci.Descriptor, tag string) error {
	if err := r.complete(ctx, d, &r.Store); err != nil {
		return err
	}
	return r.Store.Tag(ctx, d, tag)
}

// commit answers what the registry lacks.
func (r *cacheRegistry) commit(ctx context.Context, _ oci.Reference, ds []oci.Descriptor) (missing []oci.Descriptor, err error) {
	for _, d := range ds {
		if r.lacks(ctx, d) {
			missing = append(missing, d)
		}
	}
	return missing, nil
}

// opened remembers which blobs were read from a source.
type opened struct {
	blob.Source
	mu  sync.Mutex
	all map[oci.Digest]bool
}

func (o *opened) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = map[oci.Digest]bool{}
	}
	o.all[d.Digest] = true
	return o.Source.Open(ctx, d)
}

func TestAPushToARegistryOverTheCache(t *testing.T) {
	layers := [][]byte{[]byte("in the cache"), []byte("nowhere but here")}
	var src mem.Store
	root := blobtest.Image(t, &src, linux, layers...)
	body, err := blob.ReadAll(t.Context(), "source", &src, root)
	if err != nil {
		t.Fatal(err)
	}
	children, err := oci.Children(root, body)
	if err != nil {
		t.Fatal(err)
	}
	config, cached, here := children[0].Digest, children[1].Digest, children[2].Digest
	for name, c := range map[string]struct {
		cached    []oci.Digest
		committed bool
		sent      []oci.Digest // beside the manifest
	}{
		"that is told of everything and has it":    {[]oci.Digest{config, cached, here}, true, nil},
		"that is told of everything and lacks one": {[]oci.Digest{config, cached}, true, []oci.Digest{here}},
		"that looks itself and has everything":     {[]oci.Digest{config, cached, here}, false, nil},
		"that looks itself and lacks two":          {[]oci.Digest{cached}, false, []oci.Digest{config, here}},
	} {
		t.Run(name, func(t *testing.T) {
			to, from := &cacheRegistry{cached: c.cached}, &opened{Source: &src}
			o := deploy.PushOptions{Repository: to.open, Source: from}
			if c.committed {
				o.Commit = to.commit
			}
			push := op("//:push", "app", root, "v1")
			push.Strategy = "cas_registry"
			if err := deploy.Push(t.Context(), []deploy.Operation{push}, o)[0].Err; err != nil {
				t.Fatal(err)
			}
			if d, err := to.Resolve(t.Context(), "v1"); err != nil || d.Digest != root.Digest {
				t.Errorf("v1 is %s, %v", d.Digest, err)
			}
			for _, d := range children {
				if want := slices.Contains(c.sent, d.Digest); from.all[d.Digest] != want {
					t.Errorf("%s was read: %v; want %v", d.Digest, !want, want)
				}
			}
		})
	}
}

// The manifest is there and a cache has forgotten a layer, which a new tag brings to light.
func TestWhatACacheHasForgottenIsSentAgain(t *testing.T) {
	var src mem.Store
	root := blobtest.Image(t, &src, linux, []byte("layer"))
	to := &cacheRegistry{}
	push := op("//:push", "app", root, "v1")
	push.Strategy = "cas_registry"
	o := deploy.PushOptions{Repository: to.open, Source: &src, Commit: to.commit}
	if err := deploy.Push(t.Context(), []deploy.Operation{push}, o)[0].Err; err != nil {
		t.Fatal(err)
	}
	forgotten := &cacheRegistry{}
	body, err := blob.ReadAll(t.Context(), "registry", &to.Store, root)
	if err != nil {
		t.Fatal(err)
	}
	forgotten.Add(root.MediaType, body)
	o.Repository, o.Commit = forgotten.open, forgotten.commit
	result := deploy.Push(t.Context(), []deploy.Operation{push}, o)[0]
	if result.Err != nil || len(result.Names) != 2 || !strings.HasSuffix(result.Names[1], "app:v1") {
		t.Errorf("names are %q, %v", result.Names, result.Err)
	}
	if err := forgotten.complete(t.Context(), root, &src); err != nil {
		t.Error(err)
	}
}
