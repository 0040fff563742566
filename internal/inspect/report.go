package inspect

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Report is what [Reader.Inspect] finds.
type Report struct {
	Version int    `json:"version"`
	Name    string `json:"name"` // as it was asked for
	*Node
	// The rest is of an image whose layers were read.
	Unpacked int64 `json:"unpacked,omitempty"` // bytes of the files of all layers
	Visible  int64 `json:"visible,omitempty"`  // of them, those that a container sees
	// Within and Across are the bytes that are there more than once: in one layer, and in several.
	Within int64   `json:"twiceWithin,omitempty"`
	Across int64   `json:"twiceAcross,omitempty"`
	Twice  []Twice `json:"twice,omitempty"`
}

// Twice is a content that several files have, which are no hard links to each other.
type Twice struct {
	Digest oci.Digest `json:"digest"`
	Size   int64      `json:"size"`
	Copies []Copy     `json:"copies"`
}

// Wasted are the bytes of all copies but one.
func (t Twice) Wasted() int64 { return t.Size * int64(len(t.Copies)-1) }

// Copy is a place of a content.
type Copy struct {
	Layer int    `json:"layer"`
	Path  string `json:"path"`
}

// Inspect says what is in root, and of an image what is in its layers.
func (r *Reader) Inspect(ctx context.Context, name string, root oci.Descriptor) (*Report, error) {
	n, err := r.Describe(ctx, root)
	if err != nil {
		return nil, err
	}
	report := &Report{Version: Version, Name: name, Node: n}
	if n.Kind == KindIndex || r.Shallow {
		return report, nil
	}
	s, err := r.stack(ctx, n)
	if err != nil {
		return nil, err
	}
	report.count(s)
	return report, nil
}

// stack reads the layers of an image that are archives.
func (r *Reader) stack(ctx context.Context, n *Node) (*stack, error) {
	all, inner := errgroup.WithContext(ctx)
	all.SetLimit(4)
	listings := make([]*listing, len(n.Layers))
	for i, l := range n.Layers {
		if isArchive(l.MediaType) && len(l.descriptor.URLs) == 0 {
			all.Go(func() (err error) { listings[i], err = r.list(inner, l.descriptor); return err })
		}
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	s := newStack()
	for i, l := range n.Layers {
		if listings[i] != nil {
			l.take(listings[i])
			if err := s.apply(l.Number, l.Files); err != nil {
				return nil, err
			}
		}
	}
	s.look()
	return s, nil
}

func (l *Layer) take(from *listing) {
	l.Read, l.Files, l.Unpacked = from.read, from.files, from.unpacked
	if from.index != nil {
		l.IndexError = from.index.Error()
	}
}

func (r *Report) count(s *stack) {
	for _, c := range s.contents {
		l := r.Layers[c.layer-1]
		r.Unpacked += c.file.Size
		switch {
		case c.visible:
			r.Visible += c.file.Size
		case c.removed:
			l.WhitedOut += c.file.Size
		default:
			l.Replaced += c.file.Size
		}
	}
	r.Twice = twice(s.contents)
	for _, t := range r.Twice {
		layers := map[int]bool{}
		for _, c := range t.Copies {
			layers[c.Layer] = true
		}
		r.Across += t.Size * int64(len(layers)-1)
		r.Within += t.Size * int64(len(t.Copies)-len(layers))
	}
}

// twice are the contents that are there more than once, those first that waste most.
func twice(contents []*content) (all []Twice) {
	by := map[oci.Digest][]*content{}
	for _, c := range contents {
		if c.file.Digest != "" {
			by[c.file.Digest] = append(by[c.file.Digest], c)
		}
	}
	for digest, same := range by {
		if len(same) == 1 {
			continue
		}
		t := Twice{Digest: digest, Size: same[0].file.Size}
		for _, c := range same {
			t.Copies = append(t.Copies, Copy{c.layer, c.file.Path})
		}
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b Twice) int {
		return cmp.Or(cmp.Compare(b.Wasted(), a.Wasted()), cmp.Compare(a.Digest, b.Digest))
	})
	return all
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
