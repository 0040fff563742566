// Package blobcache is the service by which a push tells a registry what is in the remote cache. docs/formats/blobcache.md describes it.
package blobcache

import (
	"context"

	"google.golang.org/grpc"
)

//go:generate sh -c "$(../../tools/get-tool protogen) blobcache.proto"

const (
	service = "rules_img.blobcache.v1.BlobCache"
	// CommitMethod is the name of the one method.
	CommitMethod = "/" + service + "/Commit"
)

// Server is what answers.
type Server interface {
	Commit(context.Context, *CommitRequest) (*CommitResponse, error)
}

// Register lets s serve.
func Register(r grpc.ServiceRegistrar, s Server) {
	r.RegisterService(&grpc.ServiceDesc{
		ServiceName: service,
		HandlerType: (*Server)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Commit", Handler: commit}},
		Metadata:    "blobcache.proto",
	}, s)
}

func commit(s any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	in := new(CommitRequest)
	if err := decode(in); err != nil {
		return nil, err
	}
	handle := func(ctx context.Context, in any) (any, error) { return s.(Server).Commit(ctx, in.(*CommitRequest)) }
	if intercept == nil {
		return handle(ctx, in)
	}
	return intercept(ctx, in, &grpc.UnaryServerInfo{Server: s, FullMethod: CommitMethod}, handle)
}

// Commit calls the method.
func Commit(ctx context.Context, conn grpc.ClientConnInterface, in *CommitRequest) (*CommitResponse, error) {
	out := new(CommitResponse)
	return out, conn.Invoke(ctx, CommitMethod, in, out)
}
