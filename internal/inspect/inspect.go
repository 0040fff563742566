// Package inspect looks into images for people: what is in them, how two differ, whether one is what it says.
//
// The entry points are [Reader.Inspect], [Reader.Diff] and [Reader.Validate]; each returns a report that is JSON as docs/formats/inspect.md
// has it, and writes itself as text. The law: nothing is believed that was not verified, a layer is never held in memory, and what is held
// of its files is bounded, whatever archives say.
package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Version is that of the reports.
const Version = 1

// Kinds of images.
const (
	KindIndex       = "index"
	KindImage       = "image"
	KindArtifact    = "artifact"    // a manifest whose config is none of an image
	KindAttestation = "attestation" // what builders put beside images
)

// Reader reads images. The zero value reads nothing; it may be used for many, and reads each layer once.
type Reader struct {
	// Source has the blobs. Parts of layers are read if it is a [blob.RangeOpener]. What is read whole is verified.
	Source blob.Source
	// Shallow leaves the layers unread.
	Shallow bool
	// Held, if set, yields the blobs that the source holds. Those that nothing leads to are validated too, as far as they are what they are
	// called.
	Held iter.Seq2[oci.Descriptor, error]

	held   atomic.Int64
	mu     sync.Mutex
	layers map[oci.Digest]func() (*listing, error)
}

// Node is an index, an image or an artifact.
type Node struct {
	Kind         string            `json:"kind"`
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Digest       oci.Digest        `json:"digest"`
	Size         int64             `json:"size"`  // of the manifest or index
	Total        int64             `json:"total"` // of it and all blobs below it, each once
	Platform     string            `json:"platform,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Subject      *oci.Descriptor   `json:"subject,omitempty"`
	Manifests    []*Node           `json:"manifests,omitempty"` // of an index
	Config       *Config           `json:"config,omitempty"`
	Layers       []*Layer          `json:"layers,omitempty"`

	raw []byte
}

// Config is the config of an image, as it is written, or of an artifact, without its content.
type Config struct {
	MediaType string          `json:"mediaType"`
	Digest    oci.Digest      `json:"digest"`
	Size      int64           `json:"size"`
	Content   json.RawMessage `json:"content,omitempty"`

	image imageConfig
}

// imageConfig is what of a config is looked at here.
type imageConfig struct {
	oci.Platform
	Created string `json:"created"`
	Author  string `json:"author"`
	Config  struct {
		User, WorkingDir, StopSignal string
		Env, Entrypoint, Cmd         []string
		ExposedPorts, Volumes        map[string]struct{}
		Labels                       map[string]string
	} `json:"config"`
	RootFS struct {
		Type    string       `json:"type"`
		DiffIDs []oci.Digest `json:"diff_ids"`
	} `json:"rootfs"`
	History []struct {
		CreatedBy string `json:"created_by"`
		Comment   string `json:"comment"`
		Empty     bool   `json:"empty_layer"`
	} `json:"history"`
}

// maxNodes bounds the manifests below one root, and maxDepth how deep they are.
const (
	maxNodes = 10_000
	maxDepth = 8
)

// Describe reads root, and the manifests and configs below it.
func (r *Reader) Describe(ctx context.Context, root oci.Descriptor) (*Node, error) {
	d := describer{Reader: r}
	return d.node(ctx, root, 0)
}

type describer struct {
	*Reader
	nodes atomic.Int64
}

func (r *describer) node(ctx context.Context, d oci.Descriptor, depth int) (*Node, error) {
	if !oci.IsManifest(d.MediaType) {
		return nil, fmt.Errorf("%s: has the media type %q, which is no manifest that is known here", d.Digest, d.MediaType)
	}
	if depth > maxDepth || r.nodes.Add(1) > maxNodes {
		return nil, fmt.Errorf("%s: an index of more than %d manifests, or deeper than %d, is not looked through: choose one by --platform", d.Digest, maxNodes, maxDepth)
	}
	body, err := r.read(ctx, d)
	if err != nil {
		return nil, err
	}
	n := &Node{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, raw: body}
	children, err := oci.Children(d, body)
	if err != nil {
		return nil, err
	}
	n.Total = d.Size + sizeOf(children, func(c oci.Descriptor) bool { return !oci.IsIndex(d.MediaType) })
	if oci.IsIndex(d.MediaType) {
		return n, r.index(ctx, n, depth)
	}
	return n, r.manifest(ctx, n, d)
}

// sizeOf adds the sizes of the different ones.
func sizeOf(ds []oci.Descriptor, counts func(oci.Descriptor) bool) (sum int64) {
	seen := map[oci.Digest]bool{}
	for _, d := range ds {
		if !seen[d.Digest] && counts(d) {
			sum += d.Size
		}
		seen[d.Digest] = true
	}
	return sum
}

func (r *describer) index(ctx context.Context, n *Node, depth int) error {
	var index oci.Index
	if err := json.Unmarshal(n.raw, &index); err != nil {
		return fmt.Errorf("index %s: %w", n.Digest, err)
	}
	n.Kind, n.ArtifactType, n.Annotations, n.Subject = KindIndex, index.ArtifactType, index.Annotations, index.Subject
	n.Manifests = make([]*Node, len(index.Manifests))
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(8)
	for i, c := range index.Manifests {
		all.Go(func() (err error) {
			if !oci.IsManifest(c.MediaType) {
				n.Manifests[i] = &Node{Kind: KindArtifact, MediaType: c.MediaType, ArtifactType: c.ArtifactType, Digest: c.Digest, Size: c.Size, Total: c.Size}
				return nil
			}
			n.Manifests[i], err = r.node(ctx, c, depth+1)
			if err == nil {
				n.Manifests[i].described(c)
			}
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	n.Total = n.Size + below(n.Manifests)
	return nil
}

// described adds what the index says of a manifest.
func (n *Node) described(d oci.Descriptor) {
	if d.Platform != nil {
		n.Platform = platformName(*d.Platform)
	}
	if n.Platform == "unknown/unknown" || d.Annotations["vnd.docker.reference.type"] != "" {
		n.Kind = KindAttestation
	}
}

// below is the size of all that the manifests of an index have, each once.
func below(manifests []*Node) (sum int64) {
	seen := map[oci.Digest]bool{}
	add := func(d oci.Digest, size int64) {
		if !seen[d] {
			sum += size
		}
		seen[d] = true
	}
	var walk func(*Node)
	walk = func(n *Node) {
		add(n.Digest, n.Size)
		if n.Config != nil {
			add(n.Config.Digest, n.Config.Size)
		}
		for _, l := range n.Layers {
			add(l.Digest, l.Size)
		}
		for _, m := range n.Manifests {
			walk(m)
		}
	}
	for _, n := range manifests {
		walk(n)
	}
	return sum
}

func (r *describer) manifest(ctx context.Context, n *Node, d oci.Descriptor) error {
	var m oci.Manifest
	if err := json.Unmarshal(n.raw, &m); err != nil {
		return fmt.Errorf("manifest %s: %w", n.Digest, err)
	}
	n.Kind, n.ArtifactType, n.Annotations, n.Subject = KindArtifact, m.ArtifactType, m.Annotations, m.Subject
	if m.Config.Digest != "" {
		n.Config = &Config{MediaType: m.Config.MediaType, Digest: m.Config.Digest, Size: m.Config.Size}
	}
	for i, l := range m.Layers {
		n.Layers = append(n.Layers, &Layer{Number: i + 1, MediaType: l.MediaType, Digest: l.Digest, Size: l.Size, Annotations: l.Annotations, descriptor: l})
	}
	if oci.ToOCI(m.Config.MediaType) != oci.MediaTypeConfig {
		return nil
	}
	n.Kind = KindImage
	body, err := r.read(ctx, m.Config)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, &n.Config.image); err != nil {
		return fmt.Errorf("config %s: %w", m.Config.Digest, err)
	}
	n.Config.Content = body
	n.Platform = platformName(n.Config.image.Platform)
	n.trace()
	return nil
}

// trace gives each layer its diff ID, and what made it.
func (n *Node) trace() {
	ids := n.Config.image.RootFS.DiffIDs
	history := slices.Clone(n.Config.image.History)
	for i, l := range n.Layers {
		if i < len(ids) {
			l.DiffID = ids[i]
		}
		for len(history) > 0 && history[0].Empty {
			history = history[1:]
		}
		if len(history) > 0 {
			l.CreatedBy = history[0].CreatedBy
			history = history[1:]
		}
	}
}

func (r *Reader) read(ctx context.Context, d oci.Descriptor) ([]byte, error) {
	return blob.ReadAll(ctx, "image", r.Source, d)
}

// platformName is that of a platform, with the version that Windows has; empty when there is nothing to say.
func platformName(p oci.Platform) string {
	if p.OS == "" && p.Architecture == "" {
		return ""
	}
	name := oci.FormatPlatform(p)
	if p.OSVersion != "" {
		name += " " + p.OSVersion
	}
	return name
}
