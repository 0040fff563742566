package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	content "github.com/containerd/containerd/api/services/content/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Store is the content store of a namespace: a [blob.Source], [blob.RangeOpener] and [blob.Sink].
type Store struct {
	// Leave says which children of an index are not wanted, so that it is whole without them. See blob.CopyOptions.
	Leave func(oci.Descriptor) bool

	name, namespace string
	client          content.ContentClient
	lease           *lease // nil when what is written need not be kept
}

// NewStore is the content store behind conn. name is for errors.
func NewStore(name, namespace string, conn grpc.ClientConnInterface) *Store {
	return &Store{name: "containerd " + name, namespace: namespace, client: content.NewContentClient(conn)}
}

// in says to which namespace, and under which lease, a call is made.
func (s *Store) in(ctx context.Context) context.Context {
	ctx = in(ctx, s.namespace)
	if s.lease != nil {
		ctx = metadata.AppendToOutgoingContext(ctx, "containerd-lease", s.lease.id)
	}
	return ctx
}

// Missing implements [blob.Sink]. A manifest of which anything is not there is missing: containerd itself may hold a
// part of an image.
func (s *Store) Missing(ctx context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error) {
	return blob.MissingOf(ctx, 16, ds, func(ctx context.Context, d oci.Descriptor) (bool, error) {
		if err := s.hold(ctx, d); err != nil {
			return false, err
		}
		return s.whole(ctx, d)
	})
}

// whole reports whether d, and all below it that is wanted, is there and kept.
func (s *Store) whole(ctx context.Context, d oci.Descriptor) (bool, error) {
	info, err := s.info(ctx, d)
	if errors.Is(err, blob.ErrNotFound) {
		return false, nil
	}
	if err != nil || !oci.IsManifest(d.MediaType) {
		return err == nil && info.Size == d.Size, err
	}
	body, err := blob.ReadAll(ctx, s.name, s, d)
	if err != nil {
		return false, err
	}
	children, err := oci.Children(d, body)
	if err != nil {
		return false, err
	}
	labels := s.labels(d, children)
	for key, value := range labels {
		if info.Labels[key] != value {
			return false, nil
		}
	}
	for _, c := range children {
		if s.leaves(c) {
			continue
		}
		if whole, err := s.whole(ctx, c); !whole {
			return false, err
		}
	}
	return true, nil
}

func (s *Store) leaves(d oci.Descriptor) bool { return s.Leave != nil && s.Leave(d) }

func (s *Store) info(ctx context.Context, d oci.Descriptor) (*content.Info, error) {
	if _, err := oci.ParseDigest(string(d.Digest)); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	r, err := s.client.Info(s.in(ctx), &content.InfoRequest{Digest: string(d.Digest)})
	if err != nil {
		return nil, s.wrap(ctx, d, err)
	}
	return r.Info, nil
}

// Open implements [blob.Source].
func (s *Store) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return s.OpenRange(ctx, d, 0)
}

// OpenRange implements [blob.RangeOpener].
func (s *Store) OpenRange(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	info, err := s.info(ctx, d)
	if err != nil {
		return nil, err
	}
	if offset < 0 || offset > info.Size {
		return nil, fmt.Errorf("%s: blob %s: offset %d is outside its %d bytes", s.name, d.Digest, offset, info.Size)
	}
	if offset == info.Size {
		return io.NopCloser(strings.NewReader("")), nil // containerd takes the length 0 for all of it
	}
	ctx, cancel := context.WithCancel(ctx)
	stream, err := s.client.Read(s.in(ctx), &content.ReadContentRequest{Digest: string(d.Digest), Offset: offset})
	if err != nil {
		cancel()
		return nil, s.wrap(ctx, d, err)
	}
	return &reader{store: s, d: d, ctx: ctx, cancel: cancel, stream: stream}, nil
}

type reader struct {
	store  *Store
	d      oci.Descriptor
	ctx    context.Context // of the stream, which lives as long as the reader
	cancel func()
	stream content.Content_ReadClient
	rest   []byte
}

func (r *reader) Close() error { r.cancel(); return nil }

func (r *reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		m, err := r.stream.Recv()
		if err == io.EOF {
			return 0, io.EOF
		}
		if err != nil {
			return 0, r.store.wrap(r.ctx, r.d, err)
		}
		r.rest = m.Data
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (s *Store) wrap(ctx context.Context, d oci.Descriptor, err error) error {
	return wrap(ctx, s.name, "blob "+string(d.Digest), err)
}

// wrap makes an error of the API one of ours: it says who said it about what, and is what it means.
func wrap(ctx context.Context, name, what string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %s: %w", name, what, context.Cause(ctx))
	}
	switch s := status.Convert(err); s.Code() {
	case codes.NotFound:
		return fmt.Errorf("%s: %s: %w", name, what, blob.ErrNotFound)
	case codes.PermissionDenied:
		return fmt.Errorf("%s: %s: %s: run as root, or in the group that owns the socket", name, what, s.Message())
	case codes.Unavailable:
		return fmt.Errorf("%s: %s: %s: is it running, and does CONTAINERD_ADDRESS name its socket?", name, what, s.Message())
	default:
		return fmt.Errorf("%s: %s: %s", name, what, s.Message())
	}
}
