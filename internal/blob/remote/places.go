package remote

import (
	"context"
	"slices"
	"sync"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// places knows which blobs are in which repositories of one registry, and who is about to put one there, so that each goes to
// the registry once.
type places struct {
	mu    sync.Mutex
	blobs map[oci.Digest]*place
	hints map[oci.Digest][]string
}

// place is what is known of one blob.
type place struct {
	in   []string                 // repositories that have it, the first to get it first
	busy map[string]chan struct{} // repositories that are about to get it; closed when they have, or have failed
}

func (p *places) hint(repository string, blobs []oci.Descriptor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hints == nil {
		p.hints = map[oci.Digest][]string{}
	}
	for _, d := range blobs {
		if !slices.Contains(p.hints[d.Digest], repository) {
			p.hints[d.Digest] = append(p.hints[d.Digest], repository)
		}
	}
}

// found notes that the registry said the blob is in the repository.
func (p *places) found(digest oci.Digest, repository string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.place(digest); !slices.Contains(b.in, repository) {
		b.in = append(b.in, repository)
	}
}

// has reports whether this run knows that the repository has the blob.
func (p *places) has(digest oci.Digest, repository string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.blobs[digest]
	return b != nil && slices.Contains(b.in, repository)
}

// claim is the right, and the duty, to put a blob into a repository.
type claim struct {
	from []string // other repositories that have it, the likeliest first
	sure bool     // the run has seen it in the first; otherwise they are hints
	// done ends the claim.
	done func(ok bool)
}

// enter waits until nobody else is about to put the blob into the repository, or, if it can then be mounted, anywhere in
// the registry. It returns false when the blob is there.
func (p *places) enter(ctx context.Context, digest oci.Digest, repository string, mountable func() bool) (claim, bool, error) {
	for {
		c, wait := p.try(digest, repository, mountable())
		if wait == nil {
			return c, c.done != nil, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return claim{}, false, ctx.Err()
		}
	}
}

// try returns a claim, one without done if the blob is there, or what to wait for.
func (p *places) try(digest oci.Digest, repository string, mountable bool) (claim, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.place(digest)
	if slices.Contains(b.in, repository) {
		return claim{}, nil
	}
	if busy := b.busy[repository]; busy != nil {
		return claim{}, busy
	}
	c := claim{from: others(p.hints[digest], repository)}
	if len(b.in) > 0 {
		c.from, c.sure = b.in[:1:1], true
	} else if mountable {
		for _, busy := range b.busy {
			return claim{}, busy
		}
	}
	ended := make(chan struct{})
	b.busy[repository] = ended
	c.done = func(ok bool) { p.leave(b, repository, ok) }
	return c, nil
}

func others(repositories []string, but string) []string {
	return slices.DeleteFunc(slices.Clone(repositories), func(r string) bool { return r == but })
}

func (p *places) place(digest oci.Digest) *place {
	if p.blobs == nil {
		p.blobs = map[oci.Digest]*place{}
	}
	if p.blobs[digest] == nil {
		p.blobs[digest] = &place{busy: map[string]chan struct{}{}}
	}
	return p.blobs[digest]
}

func (p *places) leave(b *place, repository string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ok && !slices.Contains(b.in, repository) {
		b.in = append(b.in, repository)
	}
	close(b.busy[repository])
	delete(b.busy, repository)
}
