package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

var linux = oci.Platform{OS: "linux", Architecture: "amd64"}

// registry is a set of repositories in memory that remembers what was asked of it and told.
type registry struct {
	mu        sync.Mutex
	repos     map[string]*mem.Store
	asked     []string // digests, by Missing
	askedTags []string
	set       []string // tags
	hints     map[string][]oci.Digest
	fail      map[string]error // by repository
}

func (r *registry) open(ref oci.Reference) (deploy.Repository, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.repos == nil {
		r.repos = map[string]*mem.Store{}
	}
	if r.repos[ref.Name()] == nil {
		r.repos[ref.Name()] = &mem.Store{}
	}
	return repo{r.repos[ref.Name()], r, ref.Name()}, nil
}

func (r *registry) hint(ref oci.Reference, ds ...oci.Descriptor) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hints == nil {
		r.hints = map[string][]oci.Digest{}
	}
	for _, d := range ds {
		r.hints[ref.Name()] = append(r.hints[ref.Name()], d.Digest)
	}
	return nil
}

type repo struct {
	*mem.Store
	registry *registry
	name     string
}

func (r repo) Missing(ctx context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error) {
	r.registry.mu.Lock()
	for _, d := range ds {
		r.registry.asked = append(r.registry.asked, string(d.Digest))
	}
	r.registry.mu.Unlock()
	return r.Store.Missing(ctx, ds...)
}

func (r repo) Put(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	if err := r.registry.fail[r.name]; err != nil {
		return err
	}
	return r.Store.Put(ctx, d, src)
}

// Has makes it a deploy.Haver.
func (r repo) Has(ctx context.Context, d oci.Descriptor) (bool, error) {
	missing, err := r.Store.Missing(ctx, d)
	return len(missing) == 0, err
}

// HasTag makes it a deploy.TagHaver.
func (r repo) HasTag(ctx context.Context, d oci.Descriptor, tag string) (bool, error) {
	r.registry.mu.Lock()
	r.registry.askedTags = append(r.registry.askedTags, tag)
	r.registry.mu.Unlock()
	have, err := r.Store.Resolve(ctx, tag)
	if errors.Is(err, blob.ErrNotFound) {
		return false, nil
	}
	return have.Digest == d.Digest, err
}

func (r repo) Tag(ctx context.Context, d oci.Descriptor, tag string) error {
	r.registry.mu.Lock()
	r.registry.set = append(r.registry.set, tag)
	r.registry.mu.Unlock()
	return r.Store.Tag(ctx, d, tag)
}

func op(name, repository string, root oci.Descriptor, tags ...string) deploy.Operation {
	return deploy.Operation{
		Kind: deploy.KindPush, Name: name, Root: root, Registry: "reg.test", Repository: repository, Tags: tags, Strategy: "eager",
	}
}

func wantNames(t *testing.T, r deploy.Result, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, r.Names); d != "" {
		t.Errorf("names of %s (-want +got):\n%s", r.Operation.Name, d)
	}
}

func TestPushNamesTheImageByDigestAndThenByTags(t *testing.T) {
	var src mem.Store
	var to registry
	root := blobtest.Image(t, &src, linux, []byte("layer"))
	o := deploy.PushOptions{Repository: to.open, Source: &src, Tags: []string{"extra", "v1"}}
	for range 2 { // the second time it is there already
		results := deploy.Push(t.Context(), []deploy.Operation{op("//:push", "app", root, "v1", "latest")}, o)
		if results[0].Err != nil {
			t.Fatal(results[0].Err)
		}
		wantNames(t, results[0], "reg.test/app@"+string(root.Digest), "reg.test/app:v1", "reg.test/app:latest", "reg.test/app:extra")
		if d, err := to.repos["reg.test/app"].Resolve(t.Context(), "extra"); err != nil || d.Digest != root.Digest {
			t.Errorf("extra is %v, %v", d.Digest, err)
		}
	}
	if n := len(slices.DeleteFunc(to.asked, func(d string) bool { return d != string(root.Digest) })); n != 1 {
		t.Errorf("two pushes asked for the root %d times; want once, and then for its tag", n)
	}
}

// TestWhatHasItsTagsCostsOneRequestEach, and nothing is set that is right.
func TestWhatHasItsTagsCostsOneRequestEach(t *testing.T) {
	var src mem.Store
	var to registry
	root := blobtest.Image(t, &src, linux, []byte("layer"))
	o := deploy.PushOptions{Repository: to.open, Source: &src}
	push := func(tags ...string) {
		t.Helper()
		to.asked, to.askedTags, to.set = nil, nil, nil
		results := deploy.Push(t.Context(), []deploy.Operation{op("//:push", "app", root, tags...)}, o)
		if results[0].Err != nil {
			t.Fatal(results[0].Err)
		}
		var names []string
		for _, tag := range tags {
			names = append(names, "reg.test/app:"+tag)
		}
		wantNames(t, results[0], append([]string{"reg.test/app@" + string(root.Digest)}, names...)...)
	}
	push("v1", "v2")
	push("v1")
	if d := cmp.Diff([]string{"v1"}, to.askedTags); d != "" || len(to.asked)+len(to.set) > 0 {
		t.Errorf("asked for manifests %v, set %v, asked for tags (-want +got):\n%s", to.asked, to.set, d)
	}
	push("v1", "v2", "v3")
	if d := cmp.Diff([]string{"v3"}, to.set); d != "" || len(to.askedTags) != 3 || len(to.asked) > 0 {
		t.Errorf("asked for tags %v, for manifests %v, set tags (-want +got):\n%s", to.askedTags, to.asked, d)
	}
}

func TestOneFailureStopsNoOther(t *testing.T) {
	var src mem.Store
	broken := errors.New("registry reg.test/two: denied")
	to := registry{fail: map[string]error{"reg.test/two": broken}}
	root := blobtest.Image(t, &src, linux, []byte("layer"))
	bad := op("//:bad", "three", root, "not a tag")
	results := deploy.Push(t.Context(), []deploy.Operation{
		op("//:one", "one", root, "a"), op("//:two", "two", root, "b"), bad, op("//:four", "four", root),
	}, deploy.PushOptions{Repository: to.open, Source: &src})

	wantNames(t, results[0], "reg.test/one@"+string(root.Digest), "reg.test/one:a")
	wantNames(t, results[3], "reg.test/four@"+string(root.Digest))
	if !errors.Is(results[1].Err, broken) || !strings.HasPrefix(results[1].Err.Error(), "push reg.test/two: ") {
		t.Errorf("error is %v", results[1].Err)
	}
	if results[2].Err == nil || len(results[1].Names) > 0 || len(results[2].Names) > 0 {
		t.Errorf("results are %+v", results)
	}
}

func TestATagIsForOneImage(t *testing.T) {
	var src mem.Store
	var to registry
	one, two := blobtest.Image(t, &src, linux, []byte("1")), blobtest.Image(t, &src, linux, []byte("2"))
	ops := []deploy.Operation{op("//:one", "app", one, "v1"), op("//:two", "app", two, "v1"), op("//:again", "app", one, "v1")}
	results := deploy.Push(t.Context(), ops, deploy.PushOptions{Repository: to.open, Source: &src})
	if results[0].Err != nil || results[2].Err != nil {
		t.Errorf("the first image: %v, %v", results[0].Err, results[2].Err)
	}
	if err := results[1].Err; err == nil || !strings.Contains(err.Error(), "push reg.test/app: the tag v1 would be both") {
		t.Errorf("the second image: %v", err)
	}
}

func TestCommandLineReplacesThePlan(t *testing.T) {
	var src mem.Store
	var to registry
	root := blobtest.Image(t, &src, linux)
	o := deploy.PushOptions{Repository: to.open, Source: &src, Registry: "other.test:5000", RepositoryName: "mine"}
	results := deploy.Push(t.Context(), []deploy.Operation{op("//:push", "app", root, "v1")}, o)
	wantNames(t, results[0], "other.test:5000/mine@"+string(root.Digest), "other.test:5000/mine:v1")
	if results[0].Place != "other.test:5000/mine" {
		t.Errorf("place is %s", results[0].Place)
	}
}

// TestWhatIsThereIsHinted: where an image is there already, the next can mount its layers; and a base's layers are in the base.
func TestWhatIsThereIsHinted(t *testing.T) {
	var src mem.Store
	var to registry
	layer, own := []byte("shared"), []byte("own")
	there := blobtest.Image(t, &src, linux, layer)
	index := blobtest.Index(t, &src, there)
	fresh := blobtest.Image(t, &src, linux, layer, own)
	o := deploy.PushOptions{Repository: to.open, Source: &src, Manifests: &src, Hint: to.hint, Plan: deploy.Plan{
		Blobs: []deploy.Blob{{Descriptor: blobtest.Describe(own), File: "f"}, {Descriptor: blobtest.Describe(layer)}},
		Bases: []deploy.Base{
			{Registries: []string{"mirror.test", "reg.test"}, Repository: "base"},
			{Registries: []string{"not a registry"}, Repository: "base"},
		},
	}}
	deploy.Push(t.Context(), []deploy.Operation{op("//:old", "old", index)}, o)
	to.hints = nil
	deploy.Push(t.Context(), []deploy.Operation{op("//:old", "old", index), op("//:new", "new", fresh)}, o)

	if !slices.Contains(to.hints["reg.test/old"], blobtest.Describe(layer).Digest) {
		t.Errorf("hints are %v; want the layer in old", to.hints)
	}
	if d := cmp.Diff([]oci.Digest{blobtest.Describe(layer).Digest}, to.hints["reg.test/base"]); d != "" {
		t.Errorf("hints of the base (-want +got):\n%s", d)
	}
	if _, ok := to.hints["mirror.test/base"]; ok {
		t.Error("a registry that nothing goes to got a hint")
	}
}

// TestABlobThatManyHaveIsHintedOnce: a registry that mounts nothing would be asked for it by as many requests.
func TestABlobThatManyHaveIsHintedOnce(t *testing.T) {
	var src mem.Store
	var to registry
	layer := []byte("shared")
	var ops []deploy.Operation
	for i := range 5 {
		ops = append(ops, op(fmt.Sprint("//:old", i), fmt.Sprint("old", i), blobtest.Image(t, &src, linux, layer, fmt.Append(nil, i))))
	}
	o := deploy.PushOptions{Repository: to.open, Source: &src, Manifests: &src, Hint: to.hint}
	deploy.Push(t.Context(), ops, o)
	to.hints = nil
	deploy.Push(t.Context(), append(ops, op("//:new", "new", blobtest.Image(t, &src, linux, layer, []byte("new")))), o)

	var in []string
	for repository, digests := range to.hints {
		if slices.Contains(digests, blobtest.Describe(layer).Digest) {
			in = append(in, repository)
		}
	}
	if d := cmp.Diff([]string{"reg.test/old0"}, in); d != "" {
		t.Errorf("repositories with the layer that the registry's client was told of (-want +got):\n%s", d)
	}
}

// TestADryRunChangesNothing and says what would be moved.
func TestADryRunChangesNothing(t *testing.T) {
	var src mem.Store
	var to registry
	old, fresh := blobtest.Image(t, &src, linux, []byte("same")), blobtest.Image(t, &src, linux, []byte("same"), []byte("new"))
	o := deploy.PushOptions{Repository: to.open, Source: &src}
	deploy.Push(t.Context(), []deploy.Operation{op("//:push", "app", old)}, o)
	o.DryRun = true
	results := deploy.Push(t.Context(), []deploy.Operation{op("//:push", "app", fresh, "v2")}, o)
	if r := results[0]; r.Err != nil || r.Report.Moved.Blobs != 3 || r.Report.Present.Blobs != 1 {
		t.Errorf("report is %+v, %v; want a manifest, a config and a layer to be moved, and a layer to be there", r.Report, r.Err)
	}
	wantNames(t, results[0], "reg.test/app@"+string(fresh.Digest), "reg.test/app:v2")
	if missing, _ := to.repos["reg.test/app"].Missing(t.Context(), fresh); len(missing) != 1 {
		t.Error("the image was pushed")
	}
	if _, err := to.repos["reg.test/app"].Resolve(t.Context(), "v2"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("the tag was set: %v", err)
	}
}

func TestAStrategyThatIsNotKnownIsRefused(t *testing.T) {
	var src mem.Store
	var to registry
	o := op("//:push", "app", blobtest.Image(t, &src, linux))
	o.Strategy = "pigeon"
	results := deploy.Push(t.Context(), []deploy.Operation{o}, deploy.PushOptions{Repository: to.open, Source: &src})
	if err := results[0].Err; err == nil || !strings.Contains(err.Error(), `"pigeon"`) {
		t.Errorf("error is %v", err)
	}
}

func TestRunKeepsTheOrderAndRefusesUnknownKinds(t *testing.T) {
	kind := func(err error) deploy.Kind {
		return func(_ context.Context, ops []deploy.Operation) []deploy.Result {
			var all []deploy.Result
			for _, op := range ops {
				all = append(all, deploy.Result{Operation: op, Place: op.Kind, Err: err})
			}
			return all
		}
	}
	ops := []deploy.Operation{{Kind: "load", Name: "a"}, {Kind: "push", Name: "b"}, {Kind: "fly", Name: "c"}, {Kind: "load", Name: "d"}}
	var got []string
	for _, r := range deploy.Run(t.Context(), ops, map[string]deploy.Kind{"push": kind(io.EOF), "load": kind(nil)}) {
		got = append(got, fmt.Sprint(r.Operation.Name, " ", r.Place, " ", r.Err))
	}
	want := []string{"a load <nil>", "b push EOF", `c  c: this img does not know operations of the kind "fly": build the target again`, "d load <nil>"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("results (-want +got):\n%s", d)
	}
}
