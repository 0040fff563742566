package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// request is one HTTP request, which may have to be sent twice: without and with the right credentials.
type request struct {
	method string
	url    *url.URL
	header http.Header
	access access
	// body opens what is sent; nil sends nothing. size is its length. It is closed when an answer is there, and its context
	// ends.
	body func(context.Context) (io.ReadCloser, error)
	size int64
	// what is the thing that errors are about: "blob sha256:…".
	what string
}

// do sends r when it is its turn, and returns an answer with one of the statuses in ok. Any other is an [Error]. The turn ends
// when the answer's body is closed.
func (h *host) do(ctx context.Context, turns *turns, r request, ok ...int) (*http.Response, error) {
	turn, err := turns.take(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := h.greet(ctx, r)
	if err != nil {
		turn.end()
		return nil, h.trouble(ctx, r, err)
	}
	serves := turn.learn(resp.StatusCode, retryAfter(resp.Header.Get("Retry-After"), time.Now()))
	resp.Body = &turnBody{resp.Body, turn}
	for _, status := range ok {
		if resp.StatusCode == status {
			return resp, nil
		}
	}
	defer drain(resp)
	return nil, h.refusal(ctx, r, resp, serves)
}

type turnBody struct {
	io.ReadCloser
	turn *turn
}

func (b *turnBody) Close() error {
	defer b.turn.end()
	return b.ReadCloser.Close()
}

func (h *host) greet(ctx context.Context, r request) (*http.Response, error) {
	if isLoopback(h.name()) { // where waiting for the first saves nothing
		return h.overTLSIfItMust(ctx, r)
	}
	greeted, err := h.greeting.wait(ctx)
	if err != nil {
		return nil, err
	}
	defer greeted()
	return h.authorized(ctx, r)
}

// overTLSIfItMust finds out that a registry on this machine, to which plain HTTP is spoken, wants TLS.
func (h *host) overTLSIfItMust(ctx context.Context, r request) (*http.Response, error) {
	resp, err := h.authorized(ctx, r)
	if r.url.Scheme != "http" || !h.isAt(r.url) || !looksLikeTLS(resp, err) {
		return resp, err
	}
	secure := r
	u := *r.url
	u.Scheme = "https"
	secure.url = &u
	secureResp, secureErr := h.authorized(ctx, secure)
	if err == nil && secureErr != nil && !errors.As(secureErr, new(*tls.CertificateVerificationError)) {
		return resp, nil // it was no TLS after all
	}
	if err != nil && errors.Is(secureErr, http.ErrSchemeMismatch) {
		return nil, err // nor was it HTTP to its end
	}
	if err == nil {
		drain(resp)
	}
	if secureErr != nil {
		return nil, secureErr
	}
	h.setHTTPS()
	if secureResp.StatusCode != http.StatusUnauthorized {
		return secureResp, nil
	}
	drain(secureResp) // only now is it the registry itself that asks for credentials
	return h.authorized(ctx, secure)
}

// looksLikeTLS recognises how TLS servers answer plain HTTP: common ones with 400 and a text of their own, others with
// a TLS alert, which is no HTTP.
func looksLikeTLS(resp *http.Response, err error) bool {
	if err != nil {
		return strings.Contains(err.Error(), "malformed HTTP response")
	}
	return resp.StatusCode == http.StatusBadRequest && !strings.Contains(resp.Header.Get("Content-Type"), "json")
}

// authorized sends r, and again with other credentials if the registry asks for them.
func (h *host) authorized(ctx context.Context, r request) (*http.Response, error) {
	used, err := h.auth.authorization(ctx, r.access)
	if err != nil {
		return nil, err
	}
	resp, err := h.send(ctx, r, used)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || !h.owns(resp.Request.URL) {
		return resp, err
	}
	if !h.auth.learn(resp, r.access, used) {
		return resp, nil
	}
	drain(resp)
	if used, err = h.auth.authorization(ctx, r.access); err != nil {
		return nil, err
	}
	return h.send(ctx, r, used)
}

// send sends r once.
func (h *host) send(ctx context.Context, r request, authorization string) (*http.Response, error) {
	sending, stop := context.WithCancel(ctx)
	whole, idle := newIdle(ctx, h.idle)
	sent := &sentBody{idle: idle}
	defer sent.close()
	defer stop()
	req, err := r.build(whole, sending, sent)
	if err != nil {
		idle.close()
		return nil, sent.cause(err)
	}
	req.Header.Set("User-Agent", "rules_img")
	if authorization != "" && h.owns(req.URL) {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		idle.close()
		return nil, sent.cause(idle.cause(err))
	}
	resp.Body = &idleBody{resp.Body, idle}
	return resp, nil
}

func (r request) build(ctx, sending context.Context, sent *sentBody) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), nil)
	if err != nil {
		return nil, err
	}
	if r.header != nil {
		req.Header = r.header.Clone()
	}
	if r.body == nil {
		return req, nil
	}
	req.GetBody = func() (io.ReadCloser, error) { // again, for a redirect
		return sent.open(func() (io.ReadCloser, error) { return r.body(sending) }, r.size)
	}
	if req.Body, err = req.GetBody(); err != nil {
		return nil, err
	}
	req.ContentLength = r.size
	return req, nil
}

// maxAnswer bounds what is read of an answer that is not asked for its content.
const maxAnswer = 64 << 10

// drain reads the rest of a short answer, so that its connection can be used again, and closes it.
func drain(resp *http.Response) {
	io.CopyN(io.Discard, resp.Body, maxAnswer)
	resp.Body.Close()
}
