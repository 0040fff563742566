package containerd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	content "github.com/containerd/containerd/api/services/content/v1"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Put implements [blob.Sink]. The source is not opened when the blob is there, here or, unless containerd isolates
// them, in another namespace.
func (s *Store) Put(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	if _, err := oci.ParseDigest(string(d.Digest)); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	if !oci.IsManifest(d.MediaType) {
		return s.put(ctx, d, src, nil)
	}
	body, err := blob.ReadAll(ctx, "source", src, d)
	if err != nil {
		return err
	}
	children, err := oci.Children(d, body)
	if err != nil {
		return err
	}
	return s.put(ctx, d, blob.SourceFunc(func(context.Context, oci.Descriptor) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(body)), nil
	}), s.labels(d, children))
}

func (s *Store) put(ctx context.Context, d oci.Descriptor, src blob.Source, labels map[string]string) error {
	err := s.write(ctx, d, src, labels)
	if err == errExists {
		return s.relabel(ctx, d, labels)
	}
	return err
}

func (s *Store) write(ctx context.Context, d oci.Descriptor, src blob.Source, labels map[string]string) error {
	w, err := s.begin(ctx, d)
	if err != nil {
		return err
	}
	defer w.end()
	if err := w.copy(src); err != nil {
		return err
	}
	return w.commit(labels)
}

// labels are what keeps the children of d, those that are wanted, for as long as d is kept. They are named as
// containerd's own clients name them.
func (s *Store) labels(d oci.Descriptor, children []oci.Descriptor) map[string]string {
	labels := map[string]string{}
	for i, c := range children {
		if s.leaves(c) {
			continue
		}
		key := fmt.Sprintf("l.%d", i-1)
		switch {
		case oci.IsIndex(d.MediaType):
			key = fmt.Sprintf("m.%d", i)
		case i == 0:
			key = "config"
		}
		labels["containerd.io/gc.ref.content."+key] = string(c.Digest)
	}
	return labels
}

// relabel adds labels to a blob that is there.
func (s *Store) relabel(ctx context.Context, d oci.Descriptor, labels map[string]string) error {
	if len(labels) == 0 {
		return nil
	}
	var paths []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		paths = append(paths, "labels."+key)
	}
	_, err := s.client.Update(s.in(ctx), &content.UpdateRequest{
		Info:       &content.Info{Digest: string(d.Digest), Labels: labels},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: paths},
	})
	if err != nil {
		return s.wrap(ctx, d, err)
	}
	return nil
}
