package main

import (
	"context"
	"log/slog"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/bazel-contrib/rules_img/internal/registry/auth"
)

// admit refuses those whom gate does not know, before a message of theirs is read: by the header that they would send to an HTTP server, which
// is how Bazel says who it is, and logs that. No gate lets everybody in.
func admit(gate *auth.Gate, log *slog.Logger) tap.ServerInHandle {
	return func(ctx context.Context, info *tap.Info) (context.Context, error) {
		if gate == nil {
			return ctx, nil
		}
		r := &http.Request{Header: http.Header{"Authorization": info.Header.Get("authorization")}}
		if _, challenge := gate.Admit(r.WithContext(ctx)); challenge != "" {
			log.InfoContext(ctx, info.FullMethodName, "error", "not admitted")
			return nil, status.Error(codes.Unauthenticated, "want a user or a token that this server knows: bazel --bes_header=Authorization='Bearer …', or a credential helper")
		}
		return ctx, nil
	}
}
