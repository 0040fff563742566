package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Verdict is what [Reader.Validate] finds.
type Verdict struct {
	Version  int        `json:"version"`
	Name     string     `json:"name"`
	Digest   oci.Digest `json:"digest,omitempty"`
	Valid    bool       `json:"valid"` // no finding is an error
	Blobs    int        `json:"blobs"` // that were read to their ends
	Bytes    int64      `json:"bytes"`
	Findings []Finding  `json:"findings"`
}

// Finding is something that is wrong.
type Finding struct {
	Severity string     `json:"severity"` // error or warning
	Digest   oci.Digest `json:"digest,omitempty"`
	Message  string     `json:"message"`
}

// Severities.
const (
	SeverityError   = "error"   // breaks a specification, or is not what it says
	SeverityWarning = "warning" // is allowed, and trouble with some tools
)

// Validate reads everything below root and checks it against itself and the OCI image specification. An error means that something could
// not be read now, and might be fine.
func (r *Reader) Validate(ctx context.Context, name string, root oci.Descriptor) (*Verdict, error) {
	v := &validator{Reader: r, seen: map[oci.Digest]bool{}, whole: map[oci.Digest]bool{}, Verdict: Verdict{Version: Version, Name: name, Digest: root.Digest, Findings: []Finding{}}}
	v.descriptor(root.Digest, "the root", root)
	if err := v.visit(ctx, root, nil, 0); err != nil {
		return nil, err
	}
	if err := v.rest(ctx); err != nil {
		return nil, err
	}
	return v.done(), nil
}

// rest reads the blobs that nothing leads to.
func (v *validator) rest(ctx context.Context) error {
	if v.Held == nil {
		return nil
	}
	for d, err := range v.Held {
		if err == nil && !v.whole[d.Digest] {
			err = v.opaque(ctx, d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Add adds errors that were found elsewhere.
func (v *Verdict) Add(errs ...error) {
	for _, err := range errs {
		v.Findings = append(v.Findings, Finding{Severity: SeverityError, Message: err.Error()})
		v.Valid = false
	}
}

type validator struct {
	*Reader
	Verdict
	seen      map[oci.Digest]bool
	whole     map[oci.Digest]bool // blobs that were read, or tried to
	manifests int
}

func (v *validator) done() *Verdict {
	v.Valid = !slices.ContainsFunc(v.Findings, func(f Finding) bool { return f.Severity == SeverityError })
	return &v.Verdict
}

func (v *validator) wrong(d oci.Digest, format string, args ...any) {
	v.Findings = append(v.Findings, Finding{SeverityError, d, fmt.Sprintf(format, args...)})
}

func (v *validator) odd(d oci.Digest, format string, args ...any) {
	v.Findings = append(v.Findings, Finding{SeverityWarning, d, fmt.Sprintf(format, args...)})
}

// trouble decides whether an error is a finding. Others may be over tomorrow.
func (v *validator) trouble(ctx context.Context, d oci.Digest, err error) error {
	if ctx.Err() != nil || blob.IsTransient(err) {
		return err
	}
	v.wrong(d, "%v", err)
	return nil
}

// document reads a manifest or a config.
func (v *validator) document(ctx context.Context, d oci.Descriptor) ([]byte, error) {
	v.whole[d.Digest] = true
	body, err := v.read(ctx, d)
	if err != nil {
		return nil, v.trouble(ctx, d.Digest, err)
	}
	v.Blobs++
	v.Bytes += d.Size
	return body, nil
}

// visit checks a manifest and all below it, once. said is the platform that an index says it is for.
func (v *validator) visit(ctx context.Context, d oci.Descriptor, said *oci.Platform, depth int) error {
	if v.seen[d.Digest] {
		return nil
	}
	v.seen[d.Digest] = true
	if v.manifests++; v.manifests > maxNodes || depth > maxDepth {
		return fmt.Errorf("%s: more than %d manifests, or deeper than %d, are not looked through", d.Digest, maxNodes, maxDepth)
	}
	if !oci.IsManifest(d.MediaType) {
		v.odd(d.Digest, "has the media type %q, which is no manifest that is known here: its content is not looked at", d.MediaType)
		return v.opaque(ctx, d)
	}
	body, err := v.document(ctx, d)
	if body == nil {
		return err
	}
	if _, err := oci.Children(d, body); err != nil {
		v.wrong(d.Digest, "%v", err)
		return nil
	}
	var head struct {
		SchemaVersion int    `json:"schemaVersion"`
		MediaType     string `json:"mediaType"`
	}
	if err := json.Unmarshal(body, &head); err != nil {
		v.wrong(d.Digest, "%v", err)
		return nil
	}
	if head.SchemaVersion != 2 {
		v.wrong(d.Digest, "schemaVersion is %d: want 2", head.SchemaVersion)
	}
	if head.MediaType == "" {
		v.odd(d.Digest, "has no mediaType: want %s", d.MediaType)
	}
	if oci.IsIndex(d.MediaType) {
		return v.index(ctx, d, body, depth)
	}
	return v.manifest(ctx, d, body, said)
}

func (v *validator) index(ctx context.Context, d oci.Descriptor, body []byte, depth int) error {
	var index oci.Index
	if err := json.Unmarshal(body, &index); err != nil {
		v.wrong(d.Digest, "%v", err)
		return nil
	}
	if index.Manifests == nil {
		v.wrong(d.Digest, "has no manifests: an empty list would be one")
	}
	v.subject(d.Digest, index.Subject)
	platforms := map[string]bool{}
	for i, c := range index.Manifests {
		where := fmt.Sprintf("manifests[%d]", i)
		if !v.descriptor(d.Digest, where, c) {
			continue
		}
		v.platform(d.Digest, where, c.Platform)
		if c.Platform != nil {
			name := platformName(oci.NormalizePlatform(*c.Platform))
			if platforms[name] && name != "unknown/unknown" {
				v.odd(d.Digest, "%s: is the second one for %s: the first is the one that is chosen", where, name)
			}
			platforms[name] = true
		}
		if err := v.visit(ctx, c, c.Platform, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (v *validator) platform(in oci.Digest, where string, p *oci.Platform) {
	if p != nil && (p.OS == "" || p.Architecture == "") {
		v.wrong(in, "%s: its platform lacks os or architecture", where)
	}
}

func (v *validator) subject(in oci.Digest, d *oci.Descriptor) {
	if d != nil {
		v.descriptor(in, "subject", *d)
	}
}

// mediaType is RFC 6838's type and subtype.
var mediaType = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}(;.*)?$`)
})

// descriptor checks a descriptor as such, and reports whether it can be followed.
func (v *validator) descriptor(in oci.Digest, where string, d oci.Descriptor) bool {
	if !mediaType().MatchString(d.MediaType) {
		v.wrong(in, "%s: mediaType %q is none: want type/subtype", where, d.MediaType)
	}
	if d.ArtifactType != "" && !mediaType().MatchString(d.ArtifactType) {
		v.wrong(in, "%s: artifactType %q is none: want type/subtype", where, d.ArtifactType)
	}
	if d.Size < 0 {
		v.wrong(in, "%s: size is %d", where, d.Size)
		return false
	}
	if _, err := oci.ParseDigest(string(d.Digest)); err != nil {
		v.wrong(in, "%s: %v", where, err)
		return false
	}
	if d.Data != nil && (int64(len(d.Data)) != d.Size || oci.DigestOf(d.Data) != d.Digest) {
		v.wrong(in, "%s: data is not what digest and size say", where)
	}
	return true
}

func (v *validator) manifest(ctx context.Context, d oci.Descriptor, body []byte, said *oci.Platform) error {
	var m struct {
		oci.Manifest
		Config *oci.Descriptor   `json:"config"`
		Layers *[]oci.Descriptor `json:"layers"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		v.wrong(d.Digest, "%v", err)
		return nil
	}
	v.subject(d.Digest, m.Subject)
	if m.ArtifactType != "" && !mediaType().MatchString(m.ArtifactType) {
		v.wrong(d.Digest, "artifactType %q is none: want type/subtype", m.ArtifactType)
	}
	if m.Config == nil || m.Layers == nil {
		v.wrong(d.Digest, "lacks config or layers")
		return nil
	}
	if !v.descriptor(d.Digest, "config", *m.Config) {
		return nil
	}
	if m.Config.MediaType == oci.MediaTypeEmpty && m.ArtifactType == "" {
		v.wrong(d.Digest, "has an empty config and no artifactType: one of them must say what it is")
	}
	if len(*m.Layers) == 0 {
		v.odd(d.Digest, "has no layers: registries may refuse it")
	}
	v.family(d, m.Config.MediaType, *m.Layers)
	return v.parts(ctx, d, *m.Config, *m.Layers, said)
}

// family finds media types of Docker and OCI in one manifest, which some tools do not take.
func (v *validator) family(d oci.Descriptor, config string, layers []oci.Descriptor) {
	docker := d.MediaType == oci.MediaTypeDockerManifest
	if isDocker(config) != docker && (isDocker(config) || config == oci.MediaTypeConfig) {
		v.odd(d.Digest, "mixes types of Docker and OCI: config is %s", config)
		return
	}
	for i, l := range layers {
		if isDocker(l.MediaType) != docker && (isDocker(l.MediaType) || isArchive(l.MediaType)) {
			v.odd(d.Digest, "mixes types of Docker and OCI: layers[%d] is %s", i, l.MediaType)
			return
		}
	}
}

func isDocker(mediaType string) bool { return oci.ToOCI(mediaType) != mediaType }

func (v *validator) parts(ctx context.Context, d, config oci.Descriptor, layers []oci.Descriptor, said *oci.Platform) error {
	var ids []oci.Digest
	image := oci.ToOCI(config.MediaType) == oci.MediaTypeConfig
	if image {
		c, err := v.config(ctx, config)
		if err != nil {
			return err
		}
		if c != nil {
			ids = c.RootFS.DiffIDs
			v.lengths(config.Digest, c, len(layers))
			v.sameAs(d.Digest, said, c.Platform)
		}
	} else if err := v.opaque(ctx, config); err != nil {
		return err
	}
	for i, l := range layers {
		where := fmt.Sprintf("layers[%d]", i)
		if !v.descriptor(d.Digest, where, l) {
			continue
		}
		if image && !isArchive(l.MediaType) {
			v.odd(d.Digest, "%s: an image has a layer of the type %q, which runtimes do not know", where, l.MediaType)
		}
		var id oci.Digest
		if i < len(ids) {
			id = ids[i]
		}
		if err := v.layer(ctx, l, id); err != nil {
			return err
		}
	}
	return nil
}

func (v *validator) sameAs(in oci.Digest, said *oci.Platform, is oci.Platform) {
	if said == nil {
		return
	}
	a, b := oci.NormalizePlatform(*said), oci.NormalizePlatform(is)
	if a.OS != b.OS || a.Architecture != b.Architecture || a.Variant != b.Variant && b.Variant != "" {
		v.wrong(in, "the index says that it is for %s, and its config that it is for %s", platformName(a), platformName(b))
	}
}

func (v *validator) config(ctx context.Context, d oci.Descriptor) (*imageConfig, error) {
	body, err := v.document(ctx, d)
	if body == nil {
		return nil, err
	}
	var c imageConfig
	if err := json.Unmarshal(body, &c); err != nil {
		v.wrong(d.Digest, "config: %v", err)
		return nil, nil
	}
	if c.OS == "" || c.Architecture == "" {
		v.wrong(d.Digest, "config: lacks os or architecture")
	}
	if c.RootFS.Type != "layers" {
		v.wrong(d.Digest, "config: rootfs.type is %q: want layers", c.RootFS.Type)
	}
	if _, err := time.Parse(time.RFC3339Nano, c.Created); err != nil && c.Created != "" {
		v.wrong(d.Digest, "config: created is %q: want a time as in RFC 3339", c.Created)
	}
	for i, id := range c.RootFS.DiffIDs {
		if _, err := oci.ParseDigest(string(id)); err != nil {
			v.wrong(d.Digest, "config: rootfs.diff_ids[%d]: %v", i, err)
		}
	}
	return &c, nil
}

// lengths compares how many layers are said to be there.
func (v *validator) lengths(in oci.Digest, c *imageConfig, layers int) {
	if n := len(c.RootFS.DiffIDs); n != layers {
		v.wrong(in, "config: has %d diff IDs, and the manifest %d layers", n, layers)
	}
	made := 0
	for _, h := range c.History {
		if !h.Empty {
			made++
		}
	}
	if len(c.History) > 0 && made != layers {
		v.odd(in, "config: its history tells of %d layers, and there are %d", made, layers)
	}
}
