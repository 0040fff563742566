package cas

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bazel-contrib/rules_img/internal/blob"
)

var errStalled = errors.New("stalled")

// Error is what a cache said, or what kept us from hearing it.
type Error struct {
	Cache string
	// What is the thing the request was about: "blob sha256:…".
	What string
	// Code is the answer's; that of an HTTP cache is translated.
	Code    codes.Code
	Message string

	noCache    bool // it is another service, for which what a person can do is another thing
	retryAfter time.Duration
	cause      error
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %s", e.Cache, e.What, e.Message) }

// Unwrap returns the error that kept us from hearing an answer.
func (e *Error) Unwrap() error { return e.cause }

// Is makes an answer that means it a [blob.ErrNotFound].
func (e *Error) Is(target error) bool { return target == blob.ErrNotFound && e.Code == codes.NotFound }

// Transient implements what [blob.IsTransient] asks.
func (e *Error) Transient() bool {
	passing := []codes.Code{codes.Unavailable, codes.Aborted, codes.Internal, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Unknown}
	if e.cause != nil && blob.IsTransient(e.cause) {
		return true
	}
	return slices.Contains(passing, e.Code) && !e.isCertificate()
}

// RetryAfter implements what [blob.IsTransient] asks.
func (e *Error) RetryAfter() time.Duration { return e.retryAfter }

// Hint says what a person can do about it, or nothing.
func (e *Error) Hint() string {
	switch {
	case e.noCache:
		return ""
	case e.Code == codes.Unauthenticated, e.Code == codes.PermissionDenied:
		return "the remote cache wants credentials: set --@rules_img//img/settings:credential_helper, or $IMG_CREDENTIAL_HELPER, as you set Bazel's --credential_helper"
	case e.isCertificate():
		return "the remote cache's certificate is not trusted: $SSL_CERT_FILE can name the certificates that are; a cache without TLS is grpc://HOST:PORT"
	case e.Code == codes.Unavailable:
		return "is the remote cache there? Its endpoint is --@rules_img//img/settings:remote_cache, or $IMG_REAPI_ENDPOINT"
	}
	return ""
}

// isCertificate reports what is said of a server that speaks no TLS, or with a certificate nobody knows: by gRPC with the same code as of one
// that is away, and without an answer over HTTP.
func (e *Error) isCertificate() bool {
	return (e.Code == codes.Unavailable || e.cause != nil) && (strings.Contains(e.Message, "tls: ") || strings.Contains(e.Message, "x509: "))
}

// trouble makes an error of what gRPC says about a request.
func (c *grpcCache) trouble(ctx context.Context, what string, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return troubleOf(c.endpoint, what, err)
}

func troubleOf(endpoint Endpoint, what string, err error) *Error {
	e := &Error{Cache: endpoint.String(), What: what, Code: codes.OK, Message: err.Error(), cause: err}
	s, ok := status.FromError(err)
	if !ok {
		return e
	}
	e.Code, e.Message, e.cause = s.Code(), oneLine(s), nil
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			e.retryAfter = info.GetRetryDelay().AsDuration()
		}
	}
	return e
}

// oneLine is what a stranger's status says, fit for a terminal.
func oneLine(s *status.Status) string {
	if s.Code() == codes.NotFound {
		return "not found"
	}
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s.Message())
	// The server looks at the clock, too, and may be the first to end a call that took too long.
	if text == context.DeadlineExceeded.Error() || s.Code() == codes.DeadlineExceeded && strings.HasPrefix(text, "stream terminated by RST_STREAM") {
		text = "no answer in time"
	}
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return fmt.Sprintf("%s (%s)", text, s.Code())
}

// codeOf translates the status of an HTTP cache.
func codeOf(httpStatus int) codes.Code {
	switch {
	case httpStatus == http.StatusNotFound, httpStatus == http.StatusGone:
		return codes.NotFound
	case httpStatus == http.StatusUnauthorized:
		return codes.Unauthenticated
	case httpStatus == http.StatusForbidden:
		return codes.PermissionDenied
	case httpStatus == http.StatusTooManyRequests, httpStatus == http.StatusRequestTimeout, httpStatus >= 500:
		return codes.Unavailable
	}
	return codes.FailedPrecondition
}
