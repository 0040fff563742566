package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/bes"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
	"github.com/bazel-contrib/rules_img/internal/deploy"
)

// jobs makes jobs that push an image with a layer of so many bytes to app:v1.
func (c cache) jobs(registry string) func(invocation string, accepted int64, layer int) bes.Job {
	return func(invocation string, accepted int64, layer int) bes.Job {
		c.Helper()
		blobs, bodies, root := c.built(blobtest.Bytes(c.Name(), layer))
		for _, b := range bodies {
			c.put(b)
		}
		j := c.job(deploy.Plan{Blobs: blobs, Operations: []deploy.Operation{pushTo(registry, "app", "bes", root)}})
		j.Invocation, j.Accepted = invocation, time.Unix(accepted, 0)
		return j
	}
}

// A push that took long ends after that of a later build, in this process or the next.
func TestATagIsNotSetBack(t *testing.T) {
	c, registry := startCache(t, repb.DigestFunction_SHA256), remotetest.InMemory(t)
	job := c.jobs(registry)
	earlier, later := job("earlier", 1, 10), job("later", 2, 20)
	tagged := func() string {
		ref, err := name.ParseReference(registry + "/app:v1")
		must(t, err)
		d, err := remote.Head(ref)
		must(t, err)
		return d.Digest.String()
	}

	p := c.pusher(options{})
	got, err := p.Push(t.Context(), later)
	must(t, err)
	want := tagged()
	next := c.pusher(options{})
	later.Names = got.Names
	next.tags.remember([]bes.Job{later})
	for _, p := range []*pusher{p, next} {
		got, err := p.Push(t.Context(), earlier)
		must(t, err)
		if notes := strings.Join(got.Notes, ""); !strings.Contains(notes, "app:v1 is left to a later build") || slices.Contains(got.Names, registry+"/app:v1") {
			t.Errorf("notes %s, names %q", notes, got.Names)
		}
		if got := tagged(); got != want {
			t.Errorf("the tag is %s: want %s", got, want)
		}
	}
}

// Of two builds that set a tag at once the later is the last, though the registry takes its time with the earlier.
func TestATagIsNotSetBackByOneThatIsUnderWay(t *testing.T) {
	c := startCache(t, repb.DigestFunction_SHA256)
	began, goOn := make(chan struct{}), make(chan struct{})
	var first sync.Once
	_, registry := remotetest.NewProxy(t, remotetest.InMemory(t), func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/v1") {
			first.Do(func() { close(began); <-goOn })
		}
		return false
	})
	job, p := c.jobs(registry), c.pusher(options{})
	earlier, later := job("earlier", 1, 10), job("later", 2, 20)
	var both errgroup.Group
	both.Go(func() error { _, err := p.Push(t.Context(), earlier); return err })
	<-began
	laterEnded := make(chan struct{})
	both.Go(func() error {
		defer close(laterEnded)
		_, err := p.Push(t.Context(), later)
		return err
	})
	select {
	case <-laterEnded:
	case <-time.After(time.Second): // it waits, as it should
	}
	close(goOn)
	must(t, both.Wait())
	ref, err := name.ParseReference(registry + "/app:v1")
	must(t, err)
	img, err := remote.Image(ref)
	must(t, err)
	layers, err := img.Layers()
	must(t, err)
	if size, err := layers[0].Size(); err != nil || size != 20 {
		t.Errorf("the tag names the image with a layer of %d bytes, %v: want the later one's", size, err)
	}
}

func TestTagsAreForgotten(t *testing.T) {
	var all tags
	for i := range 3 * fewTags {
		all.claim(time.Duration(i).String(), time.Unix(int64(i)*60, 0))
	}
	if len(all.set) > fewTags+1 {
		t.Errorf("%d tags are remembered", len(all.set))
	}
}

// Of a day with many tags none can be forgotten; to look at all of them for each further one would take longer and longer.
func TestManyTagsOfADayAreSeldomLookedThrough(t *testing.T) {
	var all tags
	for i := range 3 * fewTags {
		all.claim(time.Duration(i).String(), time.Unix(int64(i), 0))
	}
	if len(all.set) != 3*fewTags || all.most != 4*fewTags {
		t.Errorf("%d tags are remembered, and looked through when there are %d", len(all.set), all.most)
	}
}

func TestATagOfALaterBuildHidesNoOtherError(t *testing.T) {
	later := fmt.Errorf("push: %w", errors.Join(fmt.Errorf("tag v1: %w", errLater), fmt.Errorf("tag v2: %w", errLater)))
	if !onlyLater(later) || onlyLater(errors.Join(later, io.EOF)) || onlyLater(nil) {
		t.Errorf("%v, %v, %v", onlyLater(later), onlyLater(errors.Join(later, io.EOF)), onlyLater(nil))
	}
}

// A push that finds its tag right makes one request, and the tag is its own from then on.
func TestATagThatIsRightIsAskedForAndKept(t *testing.T) {
	c := startCache(t, repb.DigestFunction_SHA256)
	proxy, registry := remotetest.NewProxy(t, remotetest.InMemory(t), nil)
	job := c.jobs(registry)
	first, slow, again := job("first", 1, 10), job("slow", 2, 20), job("again", 3, 10)
	_, err := c.pusher(options{}).Push(t.Context(), first)
	must(t, err)
	proxy.Reset()

	p := c.pusher(options{})
	got, err := p.Push(t.Context(), again)
	must(t, err)
	if seen, _ := proxy.Reset(); len(seen) != 1 || !slices.Contains(got.Names, registry+"/app:v1") {
		t.Errorf("names are %q, after the requests %v", got.Names, seen)
	}
	got, err = p.Push(t.Context(), slow)
	must(t, err)
	if notes := strings.Join(got.Notes, ""); !strings.Contains(notes, "app:v1 is left to a later build") {
		t.Errorf("an earlier build has set the tag back: %q", got.Notes)
	}
}
