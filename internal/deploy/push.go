package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Repository is one repository of a registry. Put of a manifest that it said is not missing need not send it, but may keep it for
// Tag.
type Repository interface {
	blob.Sink
	blob.Tagger
}

// TagHaver is a Repository that can be asked, for one request, whether a tag names a manifest already. Without it every tag is set.
type TagHaver interface {
	HasTag(ctx context.Context, d oci.Descriptor, tag string) (bool, error)
}

// PushOptions are what pushing needs of the machine, and what the user said on the command line.
type PushOptions struct {
	// Repository opens a repository to push to.
	Repository func(oci.Reference) (Repository, error)
	// Source has the bytes of every blob.
	Source blob.Source
	// Hint, if not nil, is told where blobs probably are, so that they can be mounted from there.
	Hint func(oci.Reference, ...oci.Descriptor) error
	// Commit, if not nil, is told of blobs instead of sending them, where the strategy is cas_registry.
	Commit Commit
	// Plan is what the operations belong to. Its blobs without files are hinted at in its bases.
	Plan Plan
	// Manifests has the manifests of the plan, for looking at: Source, if reading from it counts for nothing.
	Manifests blob.Source
	// Registry and RepositoryName replace the plan's, if not empty.
	Registry, RepositoryName string
	// Tags are set beside the plan's.
	Tags []string
	// Jobs is how many blobs of one image are on their way at once; 0 is 32. Twice as many images are.
	Jobs int
	// DryRun asks what is there, and changes nothing. Reports then say what would be moved.
	DryRun bool
}

// Push carries out pushes, side by side: the blobs that the registry lacks, the manifests, then the tags. It asks for all
// roots first, so that what is there already can be mounted where it is not.
func Push(ctx context.Context, ops []Operation, o PushOptions) []Result {
	pushes := o.pushes(ops)
	o.together(pushes, func(p *push) error { return p.ask(ctx) })
	o.hintSiblings(ctx, pushes) // before the bases, of which nobody knows which has what
	o.hintBases(pushes)
	o.together(pushes, func(p *push) error { return p.send(ctx) })
	var results []Result
	for _, p := range pushes {
		results = append(results, p.result)
	}
	return results
}

// push is one operation under way.
type push struct {
	PushOptions
	ref    oci.Reference
	to     Repository
	there  bool // the root is
	tagged bool // by the first of the tags
	result Result
}

// together runs step for all that have not failed yet. So many are under way that registries are kept busy, and no more, since
// each costs memory.
func (o PushOptions) together(pushes []*push, step func(*push) error) {
	var all errgroup.Group
	all.SetLimit(2 * cmp.Or(o.Jobs, 32))
	for _, p := range pushes {
		if p.result.Err != nil {
			continue
		}
		all.Go(func() error {
			if err := step(p); err != nil {
				p.result.Err = fmt.Errorf("push %s: %w", p.ref.Name(), err)
			}
			return nil
		})
	}
	all.Wait()
}

// pushes prepares the operations. All that can be wrong with them is found before the first request.
func (o PushOptions) pushes(ops []Operation) []*push {
	opened := map[string]Repository{}
	tagged := map[string]oci.Digest{}
	var all []*push
	for _, op := range ops {
		p := &push{PushOptions: o, result: Result{Operation: op}}
		p.result.Err = p.open(opened, tagged)
		all = append(all, p)
	}
	return all
}

func (p *push) open(opened map[string]Repository, tagged map[string]oci.Digest) (err error) {
	op := p.result.Operation
	if p.ref, err = p.reference(op); err != nil {
		return fmt.Errorf("push of %s: %w", op.Name, err)
	}
	p.result.Place = p.ref.Name()
	if !slices.Contains([]string{"eager", "lazy", casRegistry, "bes"}, op.Strategy) {
		return fmt.Errorf("push %s: this img does not know the strategy %q: build the target again", p.ref.Name(), op.Strategy)
	}
	for _, tag := range p.tags() {
		if err := p.claimTag(tag, tagged); err != nil {
			return err
		}
	}
	if p.to = opened[p.ref.Name()]; p.to == nil {
		if p.to, err = p.Repository(p.ref); err != nil {
			return fmt.Errorf("push %s: %w", p.ref.Name(), err)
		}
		opened[p.ref.Name()] = p.to
	}
	return nil
}

func (o PushOptions) reference(op Operation) (oci.Reference, error) {
	registry, repository := op.Registry, op.Repository
	if o.Registry != "" {
		registry = o.Registry
	}
	if o.RepositoryName != "" {
		repository = o.RepositoryName
	}
	return oci.NewReference(registry, repository)
}

// claimTag checks a tag, and that no other operation of the run wants it for another image.
func (p *push) claimTag(tag string, tagged map[string]oci.Digest) error {
	if err := oci.CheckTag(tag); err != nil {
		return fmt.Errorf("push %s: %w", p.ref.Name(), err)
	}
	name, root := p.ref.Name()+":"+tag, p.result.Operation.Root.Digest
	if other, ok := tagged[name]; ok && other != root {
		return fmt.Errorf("push %s: the tag %s would be both %s and %s: give the images different tags or repositories", p.ref.Name(), tag, other, root)
	}
	tagged[name] = root
	return nil
}

// tags are those of the plan and of the command line, each once.
func (p *push) tags() []string {
	var out []string
	seen := map[string]bool{}
	for _, tag := range slices.Concat(p.result.Operation.Tags, p.Tags) {
		if !seen[tag] {
			out, seen[tag] = append(out, tag), true
		}
	}
	return out
}

// ask finds out whether the root is there. The first tag is asked for it first: where nothing changed, that one request says it
// all.
func (p *push) ask(ctx context.Context) (err error) {
	if tags := p.tags(); len(tags) > 0 {
		p.tagged, err = p.hasTag(ctx, tags[0])
	}
	if p.there = p.tagged; p.there || err != nil {
		return err
	}
	missing, err := p.to.Missing(ctx, p.result.Operation.Root)
	p.there = len(missing) == 0
	return err
}

func (p *push) hasTag(ctx context.Context, tag string) (bool, error) {
	if h, ok := p.to.(TagHaver); ok {
		return h.HasTag(ctx, p.result.Operation.Root, tag)
	}
	return false, nil
}

func (p *push) send(ctx context.Context) (err error) {
	to := p.to
	if p.DryRun {
		to = dry{p.to}
	}
	err = p.transfer(ctx, to)
	if p.there && errors.Is(err, blob.ErrLacking) { // the manifest is there, and a cache has forgotten what it names
		p.there, p.tagged = false, false
		err = p.transfer(ctx, to)
	}
	return err
}

func (p *push) transfer(ctx context.Context, to Repository) (err error) {
	if p.result.Report, err = p.copy(ctx, to); err != nil {
		return err
	}
	p.ref.Digest = p.result.Operation.Root.Digest
	p.result.Names = []string{p.ref.String()}
	return p.tag(ctx, to)
}

// tag sets the tags, side by side, and names those that were set.
func (p *push) tag(ctx context.Context, to Repository) error {
	root, tags := p.result.Operation.Root, p.tags()
	atHand := sync.OnceValue(func() error {
		if p.there {
			return to.Put(ctx, root, p.Source)
		}
		return nil
	})
	errs := make([]error, len(tags))
	var all sync.WaitGroup
	for i, tag := range tags {
		if i == 0 && p.tagged {
			continue
		}
		all.Go(func() {
			if err := p.setTag(ctx, to, tag, atHand); err != nil {
				errs[i] = fmt.Errorf("tag %s: %w", tag, err)
			}
		})
	}
	all.Wait()
	for i, tag := range tags {
		if errs[i] == nil {
			p.result.Names = append(p.result.Names, p.ref.Name()+":"+tag)
		}
	}
	return errors.Join(errs...)
}

// setTag sets a tag. Where the first one was right, the others probably are, so they are asked for. atHand makes the repository have the
// root at hand.
func (p *push) setTag(ctx context.Context, to Repository, tag string, atHand func() error) error {
	if p.tagged {
		if has, err := p.hasTag(ctx, tag); has || err != nil {
			return err
		}
	}
	if err := atHand(); err != nil {
		return err
	}
	return to.Tag(ctx, p.result.Operation.Root, tag)
}

// asked is a repository that was asked about the root already.
type asked struct {
	Repository
	root  oci.Descriptor
	there bool
}

func (a asked) Missing(ctx context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error) {
	if len(ds) != 1 || ds[0].Digest != a.root.Digest {
		return a.Repository.Missing(ctx, ds...)
	}
	if a.there {
		return nil, nil
	}
	return ds, nil
}
