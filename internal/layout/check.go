package layout

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Check says what is wrong with the layout as one, its images aside.
func (l *Layout) Check(ctx context.Context) []error {
	var all []error
	wrong := func(format string, args ...any) {
		all = append(all, fmt.Errorf("layout %s: "+format, append([]any{l.name}, args...)...))
	}
	if l.made != nil {
		return nil // a docker archive, which was understood
	}
	if b, err := l.small("oci-layout"); err != nil {
		wrong("oci-layout: %w", err)
	} else if v, err := layoutVersion(b); err != nil || v != "1.0.0" {
		wrong("oci-layout: has the version %q: want 1.0.0", v)
	}
	if l.index.SchemaVersion != 2 {
		wrong("index.json: schemaVersion is %d: want 2", l.index.SchemaVersion)
	}
	if t := l.index.MediaType; t != "" && t != oci.MediaTypeIndex {
		wrong("index.json: mediaType is %q: want %s", t, oci.MediaTypeIndex)
	}
	for _, d := range l.index.Manifests {
		if r, err := l.Open(ctx, d); err != nil {
			wrong("index.json: %w", err)
		} else {
			r.Close()
		}
	}
	return all
}

// Blobs yields a descriptor, without media type, for every blob that the layout holds, whether something leads to it or not.
func (l *Layout) Blobs() iter.Seq2[oci.Descriptor, error] {
	s, ok := l.Source.(*tarSource)
	if !ok {
		return l.Source.(dir.Store).All()
	}
	return func(yield func(oci.Descriptor, error) bool) {
		for _, name := range slices.Sorted(maps.Keys(s.blobs)) {
			hexa, ok := strings.CutPrefix(name, blobPath("sha256:"))
			digest, err := oci.ParseDigest("sha256:" + hexa)
			if ok && err == nil && !yield(oci.Descriptor{Digest: digest, Size: s.blobs[name].size}, nil) {
				return
			}
		}
	}
}

func layoutVersion(b []byte) (string, error) {
	var v struct {
		Version string `json:"imageLayoutVersion"`
	}
	err := json.Unmarshal(b, &v)
	return v.Version, err
}

// small reads a file at the top of the layout.
func (l *Layout) small(name string) ([]byte, error) {
	if s, ok := l.Source.(*tarSource); ok {
		return s.small(name)
	}
	return readSmallFile(filepath.Join(l.name, name))
}
