package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bazel-contrib/rules_img/cmd/internal/wiring"
	"github.com/bazel-contrib/rules_img/internal/bes"
	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/cas"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/credential"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// retry goes on for some two minutes: nobody sits in front of this.
var retry = blob.Retry{Attempts: 10, MaxWait: 30 * time.Second}

// pusher carries out the plans of jobs.
type pusher struct {
	options
	cache    *cas.Cache // may be nil
	sessions sessions
	tags     tags
}

func newPusher(p process, o options) (*pusher, error) {
	connections := remote.NewTransport(64) // of all sessions: one that is forgotten must not leave idle ones behind
	out := &pusher{options: o, sessions: sessions{open: func() wiring.Registries {
		return wiring.Registries{Client: wiring.NewClient(p.Getenv, remote.Options{Transport: connections}), Retry: retry}
	}}}
	if o.casEndpoint == "" {
		return out, nil
	}
	helpers, err := credential.Parse(o.credentialHelper, "")
	if err != nil {
		return nil, err
	}
	out.cache, err = cas.Open(o.casEndpoint, cas.Options{Credentials: helpers.Headers})
	return out, err
}

func (p *pusher) close() {
	if p.cache != nil {
		p.cache.Close()
	}
}

// Push implements [bes.Pusher].
func (p *pusher) Push(ctx context.Context, j bes.Job) (bes.Pushed, error) {
	plan, err := p.plan(ctx, j.Plan)
	if errors.Is(err, errNoPlan) && !j.Asked {
		return bes.Pushed{Notes: []string{j.Plan.Name + " " + err.Error()}}, nil
	}
	if err != nil {
		return bes.Pushed{}, withHints(fmt.Errorf("plan %s: %w", j.Plan.Name, err))
	}
	ops, notes, strange := pushes(plan, j.Asked)
	if err := p.allowed(plan, ops); err != nil || len(ops) == 0 {
		return bes.Pushed{Notes: notes}, errors.Join(err, strange)
	}
	s, done := p.sessions.of(j.Invocation)
	defer done()
	bases, refused := p.allowedBases(plan.Bases)
	plan.Bases = bases
	source, err := p.source(plan, j, s.registries, refused)
	if err != nil {
		return bes.Pushed{Notes: notes}, err
	}
	results := s.push(ctx, ops, deploy.PushOptions{
		Repository: func(ref oci.Reference) (deploy.Repository, error) {
			r, err := s.registries.Sink(ref)
			return inOrder{r, ref.Name(), &p.tags, j.Accepted}, err
		},
		Source: source, Hint: s.registries.Client.Hint, Plan: plan, Manifests: source,
	})
	return outcome(results, notes, strange)
}

func outcome(results []deploy.Result, notes []string, strange error) (bes.Pushed, error) {
	out := bes.Pushed{Notes: notes}
	failed := []error{strange}
	for _, r := range results {
		out.Names = append(out.Names, r.Names...)
		if onlyLater(r.Err) {
			out.Notes = append(out.Notes, fmt.Sprintf("%s: %v", r.Operation.Name, r.Err))
			continue
		}
		failed = append(failed, withHints(r.Err))
	}
	return out, errors.Join(failed...)
}

// pushes are the operations that this server carries out: all pushes of a plan that was asked for, and otherwise those that are left to it. It is
// an error if it does not know what one is.
func pushes(plan deploy.Plan, asked bool) (ops []deploy.Operation, notes []string, strange error) {
	for _, op := range plan.Operations {
		switch {
		case op.Kind == deploy.KindLoad:
			notes = append(notes, fmt.Sprintf("%s: not done: a load is for the machine that has the daemon", op.Name))
		case !asked && op.Strategy != "bes":
			notes = append(notes, fmt.Sprintf("%s: not pushed: its strategy is %s", op.Name, op.Strategy))
		case op.Kind == deploy.KindPush:
			ops = append(ops, op)
		default:
			strange = errors.Join(strange, fmt.Errorf("%s: this bes does not know operations of the kind %q: it takes one as new as the rules that made the plan", op.Name, op.Kind))
		}
	}
	return ops, notes, strange
}

// allowed is an error for a plan that leads to registries that the operator does not want. A base there is not read, which the error says
// when nobody else has its layers.
func (p *pusher) allowed(plan deploy.Plan, ops []deploy.Operation) error {
	for _, op := range ops {
		ref, err := oci.NewReference(op.Registry, op.Repository)
		if err != nil {
			return fmt.Errorf("push of %s: %w", op.Name, err)
		}
		if !p.registries.has(ref.Name()) {
			return fmt.Errorf("push of %s: this server does not push to %s, only to %s (--allow-registry)", op.Name, ref.Name(), &p.registries)
		}
	}
	return nil
}

// source has every blob of a plan: on this machine, if that is allowed; in the cache; or in the registries of its bases, except those that are refused.
func (p *pusher) source(plan deploy.Plan, j bes.Job, from wiring.Registries, refused []blob.Named) (blob.Source, error) {
	moved := new(blob.Counter)
	all := p.localSources(plan, j, moved)
	if p.cache != nil {
		all = append(all, wiring.Counted(moved, "remote cache", p.late(plan, retry.Source(p.cache.Keyed(wiring.Keys(plan))))))
	}
	bases, err := from.Bases(plan, moved)
	if err != nil {
		return nil, err
	}
	return explained(plan, blob.Fallback(slices.Concat(all, bases, refused)...)), nil
}

// allowedBases leaves out the registries that the operator does not want. In their stead are sources that say so.
func (p *pusher) allowedBases(bases []deploy.Base) (out []deploy.Base, refused []blob.Named) {
	for _, b := range bases {
		allowed := deploy.Base{Repository: b.Repository, Digest: b.Digest}
		for _, registry := range b.Registries {
			ref, err := oci.NewReference(registry, b.Repository)
			switch {
			case err != nil:
			case p.registries.has(ref.Name()):
				allowed.Registries = append(allowed.Registries, registry)
			default:
				refused = append(refused, blob.Named{Name: ref.Name(), Source: blob.SourceFunc(refuse)})
			}
		}
		out = append(out, allowed)
	}
	return out, refused
}

func refuse(context.Context, oci.Descriptor) (io.ReadCloser, error) {
	return nil, fmt.Errorf("this server does not read there (--allow-registry): %w", blob.ErrNotFound)
}

// localSources are the runfiles of the plan's target, and the output tree that it is in, when the plan is a file of this machine.
func (p *pusher) localSources(plan deploy.Plan, j bes.Job, moved *blob.Counter) []blob.Named {
	u, err := url.Parse(j.Plan.URI)
	if err != nil || u.Scheme != "file" || p.allowFiles == "" {
		return nil
	}
	path := filepath.FromSlash(u.Path)
	runfiles := strings.TrimSuffix(path, ".plan.json") + ".runfiles"
	files := deploy.NewFiles(plan, func(name string) string { return filepath.Join(runfiles, filepath.Clean("/"+name)) })
	all := []blob.Named{wiring.Counted(moved, "runfiles", files)}
	if root, _, ok := strings.Cut(path, string(filepath.Separator)+"bazel-out"+string(filepath.Separator)); ok {
		all = append(all, wiring.Counted(moved, "output tree", deploy.NewOutputs(plan, root)))
	}
	return all
}

// explained adds to the error for a blob that is nowhere what it is.
func explained(plan deploy.Plan, s blob.Source) blob.Source {
	called := map[oci.Digest]string{}
	for _, b := range plan.Blobs {
		called[b.Digest] = cmp.Or(b.Output, b.File)
	}
	return blob.SourceFunc(func(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
		r, err := s.Open(ctx, d)
		if err != nil && ctx.Err() == nil {
			return nil, &lackingError{fmt.Errorf("%s of %s: %w", cmp.Or(called[d.Digest], d.MediaType), plan.Name, err)}
		}
		return r, err
	})
}
