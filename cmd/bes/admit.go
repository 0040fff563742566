package main

import (
	"context"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/bazel-contrib/rules_img/internal/registry/auth"
)

// admit is an error for those whom gate does not know: by the header that they would send to an HTTP server, which is how Bazel says who it is.
func admit(ctx context.Context, gate *auth.Gate) error {
	if gate == nil {
		return nil
	}
	r := &http.Request{Header: http.Header{"Authorization": metadata.ValueFromIncomingContext(ctx, "authorization")}}
	if _, challenge := gate.Admit(r); challenge != "" {
		return status.Error(codes.Unauthenticated, "want a user or a token that this server knows: bazel --bes_header=Authorization='Bearer …', or a credential helper")
	}
	return nil
}

func admitUnary(gate *auth.Gate) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		if err := admit(ctx, gate); err != nil {
			return nil, err
		}
		return handle(ctx, req)
	}
}

func admitStream(gate *auth.Gate) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		if err := admit(ss.Context(), gate); err != nil {
			return err
		}
		return handle(srv, ss)
	}
}
