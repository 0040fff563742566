// Package commit answers pushes that tell, instead of sending a blob, that it is in a remote cache: the service of package blobcache over a store.
//
// The entry point is [New]. Its law is that of the registry: who may not come in is told so before a message is read, and the store decides.
package commit

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
	"github.com/bazel-contrib/rules_img/proto/blobcache"
)

// maxBlobs is how many blobs one request may name.
const maxBlobs = 10_000

// Options say how to serve. Only Store is needed.
type Options struct {
	Store *store.Store
	// Gate says who may come in; nil lets everybody in.
	Gate registry.Gate
	// TLS is nil where there is none.
	TLS *tls.Config
	// Stall is after how long a connection that says nothing is asked whether it lives, and given up soon after; one without a request is closed
	// after ten times as long. 0 is a minute.
	Stall time.Duration
	// Log gets a line for each request; nil is no log.
	Log *slog.Logger
	// Count, if not nil, is told how many blobs were missing, and how many not.
	Count func(present, missing int)
}

// New returns a server with the service, and no other.
func New(o Options) *grpc.Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Stall = cmp.Or(o.Stall, time.Minute)
	options := []grpc.ServerOption{
		grpc.InTapHandle(o.admit),
		grpc.MaxConcurrentStreams(100),
		grpc.MaxHeaderListSize(64 << 10),
		grpc.ConnectionTimeout(min(o.Stall, 10*time.Second)),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 20 * time.Second}), // img pings each half minute while it waits
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: o.Stall, Timeout: min(o.Stall, 20*time.Second), MaxConnectionIdle: 10 * o.Stall}),
	}
	if o.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(o.TLS)))
	}
	s := grpc.NewServer(options...)
	blobcache.Register(s, server{o})
	return s
}

// admit sees a request's headers before its message is read.
func (o Options) admit(ctx context.Context, info *tap.Info) (context.Context, error) {
	if o.Gate == nil {
		return ctx, nil
	}
	r := &http.Request{Header: http.Header{"Authorization": info.Header.Get("authorization")}}
	if _, challenge := o.Gate.Admit(r.WithContext(ctx)); challenge != "" {
		o.Log.InfoContext(ctx, info.FullMethodName, "error", "not admitted")
		return nil, status.Error(codes.Unauthenticated, "want a name and password, or a token, that is known here")
	}
	return ctx, nil
}

type server struct{ Options }

// Commit implements [blobcache.Server].
func (s server) Commit(ctx context.Context, in *blobcache.CommitRequest) (*blobcache.CommitResponse, error) {
	started := time.Now()
	out, err := s.commit(ctx, in)
	args := []any{"repository", in.GetRepository(), "blobs", len(in.GetBlobs()), "missing", len(out.GetMissing()), "took", time.Since(started)}
	if err != nil {
		told := statusOf(err)
		s.Log.Log(ctx, levelOf(told), blobcache.CommitMethod, append(args, "error", err)...)
		return nil, told
	}
	s.Log.InfoContext(ctx, blobcache.CommitMethod, args...)
	if s.Count != nil {
		s.Count(len(in.GetBlobs())-len(out.GetMissing()), len(out.GetMissing()))
	}
	return out, nil
}

func (s server) commit(ctx context.Context, in *blobcache.CommitRequest) (*blobcache.CommitResponse, error) {
	r, err := s.Store.Repository(in.GetRepository())
	if err != nil {
		return nil, err
	}
	if len(in.GetBlobs()) > maxBlobs {
		return nil, status.Errorf(codes.InvalidArgument, "%d blobs: %d at once are allowed", len(in.GetBlobs()), maxBlobs)
	}
	var all []oci.Descriptor
	for _, b := range in.GetBlobs() {
		d, err := descriptor(b)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	missing, err := r.Commit(ctx, all...)
	if err != nil {
		return nil, err
	}
	out := &blobcache.CommitResponse{}
	for _, d := range missing {
		sum, err := hex.DecodeString(d.Digest.Encoded())
		if err != nil {
			return nil, err
		}
		out.Missing = append(out.Missing, sum)
	}
	return out, nil
}

// descriptor is a blob with what places need to find it.
func descriptor(b *blobcache.Blob) (oci.Descriptor, error) {
	if len(b.GetSha256()) != 32 || b.GetSize() < 0 || len(b.GetBlake3()) != 0 && len(b.GetBlake3()) != 32 {
		return oci.Descriptor{}, status.Errorf(codes.InvalidArgument, "blob %x of %d bytes with the BLAKE3 digest %x: want 32 bytes of each digest, and a size", b.GetSha256(), b.GetSize(), b.GetBlake3())
	}
	d := oci.Descriptor{Digest: oci.DigestOfSum(b.GetSha256()), Size: b.GetSize(), Annotations: map[string]string{}}
	if len(b.GetBlake3()) > 0 {
		d.Annotations[store.BLAKE3] = hex.EncodeToString(b.GetBlake3())
	}
	var origins []string
	for _, o := range b.GetOrigins() {
		ref, err := oci.NewReference(o.GetRegistry(), o.GetRepository())
		if err != nil {
			return d, status.Error(codes.InvalidArgument, err.Error())
		}
		origins = append(origins, ref.Name())
	}
	if len(origins) > 0 {
		d.Annotations[store.Origins] = strings.Join(origins, " ")
	}
	return d, nil
}

// levelOf makes what a client does wrong, and that it goes away, no error of ours.
func levelOf(told error) slog.Level {
	switch status.Code(told) {
	case codes.InvalidArgument, codes.Canceled, codes.DeadlineExceeded:
		return slog.LevelInfo
	}
	return slog.LevelError
}

// statusOf is what a client is told. Only the log hears what is wrong with the machine or with other servers.
func statusOf(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	case errors.Is(err, store.ErrName), errors.Is(err, store.ErrSize):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, store.ErrUnavailable):
		return status.Error(codes.Unavailable, store.ErrUnavailable.Error())
	case store.IsFull(err):
		return status.Error(codes.ResourceExhausted, store.ErrFull.Error())
	}
	if s, ok := status.FromError(err); ok {
		return s.Err()
	}
	return status.Error(codes.Internal, "the registry can't do this; its log says why")
}
