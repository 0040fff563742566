package blob

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// CopyOptions say how to copy. The zero value copies all of it.
type CopyOptions struct {
	// Jobs is how many blobs are on their way at once; 0 is 32. With 1 they go in the order of their documents, config before
	// layers, so that a sink that writes a stream writes the same one each time.
	Jobs int
	// Shallow leaves out the layers: manifests and configs only. The sink then breaks the law that a manifest has everything
	// below it, so it must be one that is only ever copied into shallowly.
	Shallow bool
	// Leave, if set, says of children to leave out with all below them, as the platforms of an index that a daemon does not run. The sink
	// must know of it too: what it calls present need not have what is left out.
	Leave func(oci.Descriptor) bool
}

// Report says what a copy did. Sizes are those of the descriptors.
type Report struct {
	Moved   Tally // blobs whose bytes went from the source to the sink
	Mounted Tally // blobs that the sink got without bytes: mounted, linked, or found to be there after all
	Present Tally // blobs that the sink said it has, and below which nothing was looked at
}

// Plus returns the sum of r and s.
func (r Report) Plus(s Report) Report {
	return Report{r.Moved.Plus(s.Moved), r.Mounted.Plus(s.Mounted), r.Present.Plus(s.Present)}
}

// Copy makes sink hold roots and everything below them. It asks the sink about all roots at once, and looks only into
// the manifests that are missing. Children come before parents, each blob goes once however many roots share it,
// and manifests are verified before they are believed; other blobs are verified by the sink. What it holds in memory of manifests is
// bounded, whatever they name.
//
// A root that fails does not stop the others: the error joins one for each root that failed, and the report says what was
// done all the same. Cancelling ctx ends everything promptly.
func Copy(ctx context.Context, sink Sink, source Source, o CopyOptions, roots ...oci.Descriptor) (Report, error) {
	o.Jobs = cmp.Or(o.Jobs, 32)
	c := &copier{
		sink: sink, source: source, CopyOptions: o,
		slots: semaphore.NewWeighted(int64(o.Jobs)), room: newRoom(),
		tasks: map[taskKey]*task{},
	}
	roots = unique(roots)
	if err := c.ask(ctx, roots); err != nil {
		return c.report, err
	}
	errs := make([]error, len(roots))
	var all errgroup.Group
	c.limit(&all)
	for i, root := range roots {
		all.Go(func() error {
			if err := c.tree(ctx, root); err != nil {
				errs[i] = fmt.Errorf("copy %s: %w", root.Digest, err)
			}
			return nil
		})
	}
	all.Wait()
	return c.report, c.outcome(ctx, errs)
}

type copier struct {
	CopyOptions
	sink   Sink
	source Source
	slots  *semaphore.Weighted
	room   room

	mu     sync.Mutex
	tasks  map[taskKey]*task
	report Report
}

// outcome joins the errors of roots. When all was cancelled it says so once.
func (c *copier) outcome(ctx context.Context, errs []error) error {
	if ctx.Err() == nil {
		return errors.Join(errs...)
	}
	kept := []error{context.Cause(ctx)}
	for _, err := range errs {
		if err != nil && !errors.Is(err, ctx.Err()) {
			kept = append(kept, err)
		}
	}
	return errors.Join(kept...)
}

// tree puts d after everything below it, unless that is done.
func (c *copier) tree(ctx context.Context, d oci.Descriptor) error {
	return c.once(ctx, d, func() error {
		if !oci.IsManifest(d.MediaType) {
			return c.put(ctx, d, c.source)
		}
		release, err := c.room.take(ctx, d)
		if err != nil {
			return err
		}
		defer release()
		body, err := c.manifest(ctx, d)
		if err != nil {
			return err
		}
		if err := c.below(ctx, d, body); err != nil {
			return err
		}
		return c.put(ctx, d, bytesSource(body))
	})
}

func (c *copier) below(ctx context.Context, d oci.Descriptor, body []byte) error {
	children, err := c.children(d, body)
	if err != nil {
		return err
	}
	children = unique(children)
	if err := c.ask(ctx, children); err != nil {
		return err
	}
	all, ctx := errgroup.WithContext(ctx)
	c.limit(all)
	for _, child := range children {
		all.Go(func() error { return c.tree(ctx, child) })
	}
	return all.Wait()
}

func (c *copier) children(d oci.Descriptor, body []byte) (children []oci.Descriptor, err error) {
	if c.Shallow {
		children, err = oci.ShallowChildren(d, body)
	} else {
		children, err = oci.Children(d, body)
	}
	if c.Leave != nil {
		children = slices.DeleteFunc(children, c.Leave)
	}
	for _, child := range children {
		if oci.IsManifest(child.MediaType) && !oci.IsIndex(d.MediaType) {
			return nil, fmt.Errorf("manifest %s: has the manifest %s for a config or layer", d.Digest, child.Digest)
		}
	}
	return children, err
}

// limit bounds the siblings under way, all that is below them included. More than there are jobs would only take up memory, and with one
// job they have to wait for each other.
func (c *copier) limit(siblings *errgroup.Group) { siblings.SetLimit(c.Jobs) }

// ask asks the sink about those of ds that no task is about yet, and marks as done what it has.
func (c *copier) ask(ctx context.Context, ds []oci.Descriptor) error {
	ds = c.unclaimed(ds)
	if len(ds) == 0 {
		return nil
	}
	return c.slot(ctx, func() error {
		missing, err := c.sink.Missing(ctx, ds...)
		if err == nil {
			c.present(ds, missing)
		}
		return err
	})
}

func unique(ds []oci.Descriptor) []oci.Descriptor {
	seen := map[taskKey]bool{}
	var out []oci.Descriptor
	for _, d := range ds {
		if !seen[keyOf(d)] {
			seen[keyOf(d)] = true
			out = append(out, d)
		}
	}
	return out
}

// slot runs one operation on a store when it is its turn. Nobody holds a slot while waiting for others' work.
func (c *copier) slot(ctx context.Context, do func() error) error {
	if err := c.slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer c.slots.Release(1)
	return do()
}
