package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/bazel-contrib/rules_img/internal/blob"
)

// Error is what a registry said, or what kept us from hearing it.
type Error struct {
	Registry, Repository string
	// What is the thing the request was about: "blob sha256:…", "manifest latest".
	What string
	// Status is that of the answer; 0 when there was none.
	Status int
	// Codes are the codes of the OCI errors in the answer.
	Codes []string
	// Message is what the registry said, in one line.
	Message string

	hint       string
	serves     bool // others, meanwhile
	progressed bool
	retryAfter time.Duration
	cause      error
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("registry %s/%s: %s: %s", e.Registry, e.Repository, e.What, e.Message)
}

// Hint says what a person can do about it, or nothing.
func (e *Error) Hint() string { return e.hint }

// Unwrap returns the error that kept us from hearing an answer.
func (e *Error) Unwrap() error { return e.cause }

// Is makes answers that mean it a [blob.ErrNotFound], [blob.ErrMismatch] or [blob.ErrLacking].
func (e *Error) Is(target error) bool {
	switch target {
	case blob.ErrNotFound:
		return e.Status == http.StatusNotFound && !e.has("BLOB_UPLOAD_UNKNOWN") || e.has("BLOB_UNKNOWN") || e.has("MANIFEST_UNKNOWN")
	case blob.ErrMismatch:
		return e.has("DIGEST_INVALID") || e.has("SIZE_INVALID")
	case blob.ErrLacking:
		return e.has("MANIFEST_BLOB_UNKNOWN")
	}
	return false
}

// Transient implements what [blob.IsTransient] asks.
func (e *Error) Transient() bool {
	if e.Status == 0 {
		return blob.IsTransient(e.cause)
	}
	if e.has("BLOB_UPLOAD_UNKNOWN") { // a registry with many heads, of which another knows it, or one that was restarted
		return true
	}
	transient := []int{http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}
	return slices.Contains(transient, e.Status)
}

// RetryAfter implements what [blob.IsTransient] asks.
func (e *Error) RetryAfter() time.Duration { return e.retryAfter }

// Progressed implements what [blob.IsTransient] asks: the uploads of a blob that broke off got further from one to the next.
func (e *Error) Progressed() bool { return e.progressed }

// Busy implements what [blob.IsTransient] asks: the registry limits how often it is asked, and serves others.
func (e *Error) Busy() bool { return e.Status == http.StatusTooManyRequests && e.serves }

// statusOf is the status of the answer that err is about, or 0.
func statusOf(err error) int {
	var said *Error
	if errors.As(err, &said) {
		return said.Status
	}
	return 0
}

func (e *Error) has(code string) bool { return slices.Contains(e.Codes, code) }

// refusal makes an error of an answer that is not the one wanted. serves says that others are served meanwhile.
func (h *host) refusal(ctx context.Context, r request, resp *http.Response, serves bool) error {
	e := &Error{
		Registry: h.name(), Repository: r.access.repository, What: r.what, Status: resp.StatusCode, serves: serves,
		retryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	e.Codes, e.Message = decodeErrors(body)
	status := fmt.Sprintf("%d %s", resp.StatusCode, strings.ToLower(http.StatusText(resp.StatusCode)))
	if e.Message == "" {
		e.Message = status
	} else {
		e.Message += " (" + status + ")"
	}
	if resp.Request != nil && !h.owns(resp.Request.URL) {
		e.Message += ", said by " + resp.Request.URL.Host
	}
	e.hint = h.hint(ctx, e)
	return e
}

// decodeErrors reads the body of an OCI error answer. Something else, as a proxy may send, is not shown: it is a page.
func decodeErrors(body []byte) (codes []string, message string) {
	var answer struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return nil, ""
	}
	var all []string
	for _, e := range answer.Errors {
		codes = append(codes, e.Code)
		said := oneLine(strings.ToLower(strings.ReplaceAll(e.Code, "_", " ")))
		if e.Message != "" {
			said += ": " + oneLine(e.Message)
		}
		if !slices.Contains(all, said) {
			all = append(all, said)
		}
	}
	return codes, strings.Join(all, "; ")
}

// brokeInHeader recognises an answer whose end is in its status or header: what is left of that line has no meaning, and [http.Transport] tells
// it from other nonsense in words alone.
func brokeInHeader(err error) bool {
	return strings.Contains(err.Error(), "HTTP/1.x transport connection broken") && !strings.Contains(err.Error(), `"\x15\x03`) // which is TLS
}

// oneLine makes text of a stranger fit for a terminal.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}

// retryAfter reads the header of that name: seconds or a date.
func retryAfter(s string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(s); err == nil {
		return max(0, date.Sub(now))
	}
	return 0
}

// trouble makes an error of a request without an answer. The URL stays out of it: its query may be a secret.
func (h *host) trouble(ctx context.Context, r request, err error) error {
	var source *sourceError
	if errors.As(err, &source) {
		return fmt.Errorf("registry %s/%s: send %s: %w", h.name(), r.access.repository, r.what, source.error)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("the connection was closed without an answer: %w", io.ErrUnexpectedEOF)
	} else if brokeInHeader(err) {
		err = fmt.Errorf("the connection broke before the answer was whole: %w (%w)", io.ErrUnexpectedEOF, err)
	}
	e := &Error{Registry: h.name(), Repository: r.access.repository, What: r.what, Message: oneLine(err.Error()), cause: err}
	var token *transport.Error
	if errors.As(err, &token) {
		e.Status, e.cause = token.StatusCode, nil
		e.Message = fmt.Sprintf("the token server said %d %s", token.StatusCode, strings.ToLower(http.StatusText(token.StatusCode)))
	}
	e.hint = h.hint(ctx, e)
	return e
}
