package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/bazel-contrib/rules_img/internal/bes"
	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
	"github.com/bazel-contrib/rules_img/internal/deploy"
)

// A push that took long ends after that of a later build, in this process or the next.
func TestATagIsNotSetBack(t *testing.T) {
	c, registry := startCache(t, repb.DigestFunction_SHA256), remotetest.InMemory(t)
	job := func(invocation string, accepted int64, layer int) bes.Job {
		blobs, bodies, root := c.built(tarball(t, layer))
		for _, b := range bodies {
			c.put(b)
		}
		j := c.job(deploy.Plan{Blobs: blobs, Operations: []deploy.Operation{pushTo(registry, "app", "bes", root)}})
		j.Invocation, j.Accepted = invocation, time.Unix(accepted, 0)
		return j
	}
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

func TestTagsAreForgotten(t *testing.T) {
	var all tags
	for i := range 3 * mostTags {
		all.claim(time.Duration(i).String(), time.Unix(int64(i)*60, 0))
	}
	if len(all.set) > mostTags+1 {
		t.Errorf("%d tags are remembered", len(all.set))
	}
}

func TestATagOfALaterBuildHidesNoOtherError(t *testing.T) {
	later := fmt.Errorf("push: %w", errors.Join(fmt.Errorf("tag v1: %w", errLater), fmt.Errorf("tag v2: %w", errLater)))
	if !onlyLater(later) || onlyLater(errors.Join(later, io.EOF)) || onlyLater(nil) {
		t.Errorf("%v, %v, %v", onlyLater(later), onlyLater(errors.Join(later, io.EOF)), onlyLater(nil))
	}
}
