package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bazel-contrib/rules_img/internal/bes"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// tags remembers when the builds were accepted that set tags, so that one that took long sets none back that a later one has set.
type tags struct {
	mu   sync.Mutex
	set  map[string]time.Time     // by registry/repository:tag
	most int                      // are remembered before the old ones are looked for
	busy map[string]chan struct{} // closed when nobody asks for the tag or sets it any more
}

const (
	// tagAge is how long a push may take and still meet a later one that is remembered.
	tagAge = 24 * time.Hour
	// fewTags are not worth to be looked through.
	fewTags = 10_000
)

// errLater is for a tag that is of a later build.
var errLater = errors.New("is left to a later build, which has set it")

// remember takes what an earlier process has pushed.
func (t *tags) remember(jobs []bes.Job) {
	for _, j := range jobs {
		for _, name := range j.Names {
			t.claim(name, j.Accepted)
		}
	}
}

// claim remembers that a build that was accepted at a time has set the tag, if no later one has.
func (t *tags) claim(name string, accepted time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.set == nil {
		t.set = map[string]time.Time{}
	}
	if t.set[name].After(accepted) {
		return
	}
	if len(t.set) >= max(fewTags, t.most) {
		t.forget(accepted)
	}
	t.set[name] = accepted
}

func (t *tags) isLater(name string, accepted time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.set[name].After(accepted)
}

// turn waits until nobody else asks for the tag or sets it, and keeps others from that until done is called: what a registry is asked to do
// twice at once it does in any order, and a build that sets a tag may try for minutes.
func (t *tags) turn(ctx context.Context, name string) (done func(), err error) {
	mine := make(chan struct{})
	for {
		other := t.enter(name, mine)
		if other == nil {
			return func() { t.leave(name) }, nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// enter returns nil, or what is closed when it can be tried again.
func (t *tags) enter(name string, mine chan struct{}) (other chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy == nil {
		t.busy = map[string]chan struct{}{}
	}
	if other = t.busy[name]; other == nil {
		t.busy[name] = mine
	}
	return other
}

func (t *tags) leave(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.busy[name])
	delete(t.busy, name)
}

// forget drops those of that age. If it leaves many, it is not called again until they are twice as many.
func (t *tags) forget(now time.Time) {
	for name, accepted := range t.set {
		if now.Sub(accepted) > tagAge {
			delete(t.set, name)
		}
	}
	t.most = 2 * len(t.set)
}

// inOrder is a repository whose tags are set in the order of builds.
type inOrder struct {
	deploy.Repository
	name     string
	tags     *tags
	accepted time.Time
}

// Tag implements [blob.Tagger].
func (r inOrder) Tag(ctx context.Context, d oci.Descriptor, tag string) error {
	name := r.name + ":" + tag
	done, err := r.tags.turn(ctx, name)
	if err != nil {
		return err
	}
	defer done()
	if r.tags.isLater(name, r.accepted) {
		return fmt.Errorf("%s %w", name, errLater)
	}
	if err := r.Repository.Tag(ctx, d, tag); err != nil {
		return err
	}
	r.tags.claim(name, r.accepted)
	return nil
}

// HasTag implements [deploy.TagHaver]. What has its tag already is a push of it, too.
func (r inOrder) HasTag(ctx context.Context, d oci.Descriptor, tag string) (bool, error) {
	haver, ok := r.Repository.(deploy.TagHaver)
	if !ok {
		return false, nil
	}
	name := r.name + ":" + tag
	done, err := r.tags.turn(ctx, name)
	if err != nil {
		return false, err
	}
	defer done()
	has, err := haver.HasTag(ctx, d, tag)
	if has {
		r.tags.claim(name, r.accepted)
	}
	return has, err
}

// onlyLater reports whether nothing is wrong but that tags are of a later build.
func onlyLater(err error) bool {
	switch e := err.(type) {
	case interface{ Unwrap() []error }:
		return !slices.ContainsFunc(e.Unwrap(), func(err error) bool { return !onlyLater(err) })
	case interface{ Unwrap() error }:
		return onlyLater(e.Unwrap())
	}
	return err == errLater
}
