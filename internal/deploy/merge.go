package deploy

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Merge makes one plan of many. A blob that several have is named once, with a file if any of them has one.
func Merge(name string, plans ...Plan) Plan {
	out := Plan{Version: Version, Name: name}
	var blobs []Blob
	for _, p := range plans {
		out.Operations = append(out.Operations, p.Operations...)
		blobs = append(blobs, p.Blobs...)
		for _, b := range p.Bases {
			if !slices.ContainsFunc(out.Bases, b.equal) {
				out.Bases = append(out.Bases, b)
			}
		}
		out = out.WithCaches(p.Caches...)
		out.AuthFile = cmp.Or(out.AuthFile, p.AuthFile)
	}
	out.Blobs = UniqueBlobs(blobs)
	return out
}

// UniqueBlobs names each blob once, where it first stands, with a file and an output if any of its namesakes has one.
func UniqueBlobs(blobs []Blob) []Blob {
	type key struct{ digest, mediaType string }
	at := map[key]int{}
	var out []Blob
	for _, b := range blobs {
		k := key{string(b.Digest), b.MediaType}
		i, seen := at[k]
		if !seen {
			at[k] = len(out)
			out = append(out, b)
			continue
		}
		out[i].File, out[i].Output = cmp.Or(out[i].File, b.File), cmp.Or(out[i].Output, b.Output)
		out[i].BLAKE3 = cmp.Or(out[i].BLAKE3, b.BLAKE3)
	}
	return out
}

// WithCaches adds those that p does not have.
func (p Plan) WithCaches(caches ...Cache) Plan {
	for _, c := range caches {
		if c != (Cache{}) && !slices.Contains(p.Caches, c) {
			p.Caches = append(slices.Clip(p.Caches), c)
		}
	}
	return p
}

// Uses reports whether any operation has one of the strategies.
func (p Plan) Uses(strategies ...string) bool {
	return slices.ContainsFunc(p.Operations, func(op Operation) bool { return slices.Contains(strategies, op.Strategy) })
}

// Elsewhere are the blobs that only the bases have.
func (p Plan) Elsewhere() []oci.Descriptor {
	var out []oci.Descriptor
	for _, b := range p.Blobs {
		if b.File == "" && b.Output == "" {
			out = append(out, b.Descriptor)
		}
	}
	return out
}

func (b Base) equal(o Base) bool {
	return b.Repository == o.Repository && b.Digest == o.Digest && slices.Equal(b.Registries, o.Registries)
}

// WithStrategies replaces the strategies of pushes and of loads, unless they are empty. A plan that was made to leave
// layers out can't be made to bring them: its blobs have no files.
func (p Plan) WithStrategies(push, load string) (Plan, error) {
	out := p
	out.Operations = slices.Clone(p.Operations)
	for i := range out.Operations {
		op := &out.Operations[i]
		want := map[string]string{KindPush: push, KindLoad: load}[op.Kind]
		if want == "" {
			continue
		}
		if want == "eager" && op.Strategy != "eager" {
			return p, fmt.Errorf("%s is made with the strategy %s, which leaves layers out of its files: set the strategy eager there", op.Name, op.Strategy)
		}
		op.Strategy = want
	}
	return out, nil
}
