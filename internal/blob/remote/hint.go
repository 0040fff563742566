package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// hint says what a person can do about e.
func (h *host) hint(ctx context.Context, e *Error) string {
	var certificate *tls.CertificateVerificationError
	switch {
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden || e.has("DENIED"):
		return h.loginHint(ctx, e)
	case e.has("NAME_UNKNOWN"):
		return fmt.Sprintf("%s has no repository %s: make it first if the registry does not do so by itself", e.Registry, e.Repository)
	case e.has("TOOMANYREQUESTS") || e.Status == http.StatusTooManyRequests:
		return fmt.Sprintf("%s limits how often it is asked: log in (docker login %s) or try later", e.Registry, e.Registry)
	case e.Status == http.StatusRequestEntityTooLarge:
		return fmt.Sprintf("%s, or a proxy before it, does not take blobs of this size: raise its limit", e.Registry)
	case errors.As(e.cause, &certificate):
		return fmt.Sprintf("add the authority that signed the certificate of %s to the system's, or name its file in SSL_CERT_FILE", e.Registry)
	case e.cause != nil && strings.Contains(e.cause.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Sprintf("%s does not speak TLS: only a registry on this machine may do without", e.Registry)
	}
	return ""
}

// loginHint tells someone without credentials to log in, and someone with credentials where they came from.
func (h *host) loginHint(ctx context.Context, e *Error) string {
	from, found := h.auth.whence(ctx)
	if !found {
		return fmt.Sprintf("run docker login %s (%s)", e.Registry, from)
	}
	return fmt.Sprintf("the credentials of %s may not do this (%s): run docker login %s with others", e.Registry, from, e.Registry)
}
