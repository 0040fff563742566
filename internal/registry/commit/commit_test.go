package commit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

func TestErrorsAreToldAndLogged(t *testing.T) {
	for _, c := range []struct {
		err   error
		code  codes.Code
		text  string
		level slog.Level
	}{
		{fmt.Errorf("%w: x", store.ErrName), codes.InvalidArgument, "no valid name: x", slog.LevelInfo},
		{status.Error(codes.InvalidArgument, "of 3 bytes"), codes.InvalidArgument, "of 3 bytes", slog.LevelInfo},
		{fmt.Errorf("cache: %w", context.Canceled), codes.Canceled, "cache: context canceled", slog.LevelInfo},
		{fmt.Errorf("%w: cache.internal: refused", store.ErrUnavailable), codes.Unavailable, store.ErrUnavailable.Error(), slog.LevelError},
		{&os.PathError{Op: "write", Path: "/var/lib/x", Err: syscall.ENOSPC}, codes.ResourceExhausted, store.ErrFull.Error(), slog.LevelError},
		{errors.New("/var/lib/x is odd"), codes.Internal, "the registry can't do this; its log says why", slog.LevelError},
	} {
		told := statusOf(c.err)
		if got := status.Convert(told); got.Code() != c.code || got.Message() != c.text {
			t.Errorf("%v: told is %v", c.err, told)
		}
		if got := levelOf(told); got != c.level {
			t.Errorf("%v: logged as %v", c.err, got)
		}
	}
}
