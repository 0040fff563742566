package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Side is one of two images that are compared.
type Side struct {
	Name     string     `json:"name"`
	Digest   oci.Digest `json:"digest"`
	Size     int64      `json:"size"` // of all blobs
	Platform string     `json:"platform,omitempty"`
}

// Difference is how two images differ.
type Difference struct {
	Version  int           `json:"version,omitempty"`
	A        Side          `json:"a"`
	B        Side          `json:"b"`
	Same     bool          `json:"same"`
	Manifest []Change      `json:"manifest,omitempty"` // without config and layers
	Config   []Change      `json:"config,omitempty"`   // without diff IDs
	Layers   []LayerChange `json:"layers,omitempty"`
	Files    []FileChange  `json:"files,omitempty"`
	// Images are the differences of the platforms of two indexes; OnlyA and OnlyB are those that only one has.
	Images []*Difference `json:"images,omitempty"`
	OnlyA  []Side        `json:"onlyA,omitempty"`
	OnlyB  []Side        `json:"onlyB,omitempty"`
}

// Change is a field of a document that differs. What one side has not is absent.
type Change struct {
	Path string          `json:"path"`
	A    json.RawMessage `json:"a,omitempty"`
	B    json.RawMessage `json:"b,omitempty"`
}

// LayerChange is a layer that only one side has, or that both have in another compression.
type LayerChange struct {
	A *Layer `json:"a,omitempty"`
	B *Layer `json:"b,omitempty"`
}

// FileChange is a path that a container sees differently.
type FileChange struct {
	Path string `json:"path"`
	// What differs: content, type, mode, owner, target, device, xattrs. It is empty when only one side has the path.
	What []string `json:"what,omitempty"`
	A    *File    `json:"a,omitempty"`
	B    *File    `json:"b,omitempty"`
}

// Compare compares what root of r has with what another has. Layers that both have are read once, and none when their contents are the same.
func Compare(ctx context.Context, a, b *Reader, nameA, nameB string, rootA, rootB oci.Descriptor) (*Difference, error) {
	na, err := a.Describe(ctx, rootA)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", nameA, err)
	}
	nb, err := b.Describe(ctx, rootB)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", nameB, err)
	}
	if (na.Kind == KindIndex) != (nb.Kind == KindIndex) {
		return nil, fmt.Errorf("%s is of the kind %s, and %s of the kind %s: choose a platform by --platform", nameA, na.Kind, nameB, nb.Kind)
	}
	c := comparer{a, b}
	d, err := c.nodes(ctx, na, nb)
	if err != nil {
		return nil, err
	}
	d.Version, d.A.Name, d.B.Name = Version, nameA, nameB
	return d, nil
}

type comparer struct{ a, b *Reader }

func (c comparer) nodes(ctx context.Context, a, b *Node) (*Difference, error) {
	d := &Difference{A: sideOf(a), B: sideOf(b), Same: a.Digest == b.Digest}
	if d.Same {
		return d, nil
	}
	var err error
	if d.Manifest, err = changes(a.raw, b.raw, "config", "layers", "manifests"); err != nil {
		return nil, err
	}
	if a.Kind == KindIndex {
		return d, c.indexes(ctx, d, a, b)
	}
	return d, c.images(ctx, d, a, b)
}

func sideOf(n *Node) Side {
	return Side{Name: n.Platform, Digest: n.Digest, Size: n.Total, Platform: n.Platform}
}

// indexes compares, of two indexes, the manifests that are for the same.
func (c comparer) indexes(ctx context.Context, d *Difference, a, b *Node) error {
	as, bs := leaves(a), leaves(b)
	for _, key := range sortedKeys(as) {
		other, ok := bs[key]
		if !ok {
			d.OnlyA = append(d.OnlyA, namedSide(key, as[key]))
			continue
		}
		delete(bs, key)
		inner, err := c.nodes(ctx, as[key], other)
		if err != nil {
			return err
		}
		inner.A.Name, inner.B.Name = key, key
		if !inner.Same {
			d.Images = append(d.Images, inner)
		}
	}
	for _, key := range sortedKeys(bs) {
		d.OnlyB = append(d.OnlyB, namedSide(key, bs[key]))
	}
	return nil
}

func namedSide(name string, n *Node) Side {
	s := sideOf(n)
	s.Name = name
	return s
}

// leaves are the manifests of an index, by what they are for.
func leaves(index *Node) map[string]*Node {
	all := map[string]*Node{}
	var walk func(*Node)
	walk = func(n *Node) {
		for _, m := range n.Manifests {
			if m.Kind == KindIndex {
				walk(m)
				continue
			}
			name := strings.TrimSpace(m.Platform + " " + m.ArtifactType)
			if m.Kind != KindImage || name == "" {
				name = strings.TrimSpace(name + " " + m.Kind)
			}
			key := name
			for i := 2; all[key] != nil; i++ {
				key = fmt.Sprintf("%s (%d)", name, i)
			}
			all[key] = m
		}
	}
	walk(index)
	return all
}

func (c comparer) images(ctx context.Context, d *Difference, a, b *Node) (err error) {
	if a.Config != nil && b.Config != nil && a.Config.Content != nil && b.Config.Content != nil {
		if d.Config, err = changes(a.Config.Content, b.Config.Content, "rootfs"); err != nil {
			return err
		}
	}
	d.Layers = layerChanges(a.Layers, b.Layers)
	if c.a.Shallow || sameContents(a.Layers, b.Layers) {
		return nil
	}
	sa, err := c.a.stack(ctx, a)
	if err != nil {
		return fmt.Errorf("%s: %w", a.Digest, err)
	}
	sb, err := c.b.stack(ctx, b)
	if err != nil {
		return fmt.Errorf("%s: %w", b.Digest, err)
	}
	d.Files = fileChanges(sa, sb)
	for _, l := range slices.Concat(a.Layers, b.Layers) {
		l.Files = nil // the report is about those that differ
	}
	return nil
}

// sameContents reports whether the layers unpack to the same, so that nobody needs to look.
func sameContents(a, b []*Layer) bool {
	return slices.EqualFunc(a, b, func(x, y *Layer) bool { return x.Digest == y.Digest || x.DiffID != "" && x.DiffID == y.DiffID })
}

// layerChanges pairs layers by digest, and then by diff ID.
func layerChanges(a, b []*Layer) (all []LayerChange) {
	restA, restB := unpaired(a, b, func(l *Layer) oci.Digest { return l.Digest })
	byDiffID := func(l *Layer) oci.Digest { return l.DiffID }
	for _, x := range restA {
		if i := slices.IndexFunc(restB, func(y *Layer) bool { return x.DiffID != "" && byDiffID(x) == byDiffID(y) }); i >= 0 {
			all = append(all, LayerChange{x, restB[i]})
			restB = slices.Delete(restB, i, i+1)
			continue
		}
		all = append(all, LayerChange{A: x})
	}
	for _, y := range restB {
		all = append(all, LayerChange{B: y})
	}
	return all
}

// unpaired are those of a and of b that have no partner with the same key in the other.
func unpaired(a, b []*Layer, key func(*Layer) oci.Digest) (restA, restB []*Layer) {
	free := map[oci.Digest]int{}
	for _, l := range b {
		free[key(l)]++
	}
	paired := map[oci.Digest]int{}
	for _, l := range a {
		if free[key(l)] > 0 {
			free[key(l)]--
			paired[key(l)]++
			continue
		}
		restA = append(restA, l)
	}
	for _, l := range b {
		if paired[key(l)] > 0 {
			paired[key(l)]--
			continue
		}
		restB = append(restB, l)
	}
	return restA, restB
}

func fileChanges(a, b *stack) (all []FileChange) {
	before, after := a.files(), b.files()
	paths := maps.Clone(before)
	maps.Copy(paths, after)
	for _, p := range sortedKeys(paths) {
		x, y := before[p], after[p]
		c := FileChange{Path: p, A: x, B: y}
		if x != nil && y != nil {
			if c.What = differs(x, y); c.What == nil {
				continue
			}
		}
		all = append(all, c)
	}
	return all
}

// files are all that a container sees. Directories that no layer has a member of are left out: who unpacks makes them up.
func (s *stack) files() map[string]*File {
	all := map[string]*File{}
	s.root.visit("", func(p string, n *node) {
		if n.file == nil {
			return
		}
		f := *n.file
		f.Path = p
		if n.content != nil && f.Type == TypeLink {
			f.Type = TypeFile
		}
		all[p] = &f
	})
	return all
}

func differs(a, b *File) (what []string) {
	if a.Type != b.Type {
		return []string{"type"}
	}
	for _, c := range []struct {
		name string
		same bool
	}{
		{"content", a.Size == b.Size && a.Digest == b.Digest},
		{"mode", a.Mode == b.Mode || a.Type == TypeSymlink},
		{"owner", a.UID == b.UID && a.GID == b.GID},
		{"target", a.Target == b.Target},
		{"device", a.Device == b.Device},
		{"xattrs", maps.Equal(a.Xattrs, b.Xattrs)},
	} {
		if !c.same {
			what = append(what, c.name)
		}
	}
	return what
}

// changes compares two JSON objects field by field, without some of their fields.
func changes(a, b []byte, without ...string) ([]Change, error) {
	before, err := fieldsOf(a, without)
	if err != nil {
		return nil, err
	}
	after, err := fieldsOf(b, without)
	if err != nil {
		return nil, err
	}
	paths := maps.Clone(before)
	maps.Copy(paths, after)
	var all []Change
	for _, p := range sortedKeys(paths) {
		if before[p] != after[p] {
			all = append(all, Change{p, raw(before[p]), raw(after[p])})
		}
	}
	return all, nil
}

func raw(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

// fieldsOf is a JSON object as paths and what is there.
func fieldsOf(b []byte, without []string) (map[string]string, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var top map[string]any
	if err := d.Decode(&top); err != nil {
		return nil, err
	}
	for _, name := range without {
		delete(top, name)
	}
	f := fields{}
	return f, f.add("", top)
}

type fields map[string]string

// maxPath bounds how deep objects are told apart; what is deeper is compared as a whole.
const maxPath = 1000

func (f fields) add(at string, v any) error {
	switch v := v.(type) {
	case map[string]any:
		if len(v) > 0 && len(at) < maxPath {
			return f.object(at, v)
		}
	case []any:
		if done, err := f.list(at, v); done {
			return err
		}
	}
	b, err := json.Marshal(v)
	f[at] = string(b)
	return err
}

func (f fields) object(at string, v map[string]any) error {
	for k, inner := range v {
		if err := f.add(join(at, k), inner); err != nil {
			return err
		}
	}
	return nil
}

// list tells objects apart by their places, and variables of an environment by their names. Other lists are compared as a whole.
func (f fields) list(at string, v []any) (done bool, err error) {
	if len(v) == 0 || len(at) >= maxPath {
		return false, nil
	}
	for i, inner := range v {
		name := fmt.Sprintf("%s[%d]", at, i)
		switch inner := inner.(type) {
		case map[string]any:
			err = f.add(name, inner)
		case string:
			k, value, ok := strings.Cut(inner, "=")
			if !ok || !strings.HasSuffix(at, "Env") {
				return false, nil
			}
			err = f.add(join(at, k), value)
		default:
			return false, nil
		}
		if err != nil {
			return true, err
		}
	}
	return true, nil
}

func join(at, key string) string {
	switch {
	case !plainKey().MatchString(key):
		return fmt.Sprintf("%s[%q]", at, key)
	case at == "":
		return key
	}
	return at + "." + key
}

var plainKey = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`) })
