package bases_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// proxy is a registry that counts what it is asked, and answers as it is told.
type proxy struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string // "GET /v2/…"
}

// newProxy starts a proxy before a registry. answer, if there is one, gets each request first, with what would answer it otherwise.
func newProxy(t *testing.T, registry string, answer func(w http.ResponseWriter, r *http.Request, next http.Handler)) *proxy {
	t.Helper()
	p := &proxy{Server: httptest.NewUnstartedServer(nil)}
	next := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: registry})
	p.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.requests = append(p.requests, r.Method+" "+r.URL.Path)
		p.mu.Unlock()
		if answer != nil {
			answer(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})
	p.Config.ErrorLog = log.New(io.Discard, "", 0) // a registry on this machine is spoken to without TLS first
	t.Cleanup(p.Close)
	return p
}

// start serves without TLS and returns the proxy.
func (p *proxy) start() *proxy {
	p.Start()
	return p
}

func (p *proxy) host() string { return p.Listener.Addr().String() }

// took returns what was asked since the last call.
func (p *proxy) took() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.requests
	p.requests = nil
	return all
}

// about returns those of the requests that mention a text.
func about(requests []string, text string) []string {
	var found []string
	for _, r := range requests {
		if strings.Contains(r, text) {
			found = append(found, r)
		}
	}
	return found
}

// refuses answers everything with a status.
func refuses(status int) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		http.Error(w, fmt.Sprintf(`{"errors":[{"code":"TESTED","message":"answers %d"}]}`, status), status)
	}
}

// lies sends other bytes of the same length for what the path mentions.
func lies(about string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !strings.Contains(r.URL.Path, about) || r.Method != http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		recorded := httptest.NewRecorder()
		next.ServeHTTP(recorded, r)
		for k, v := range recorded.Header() {
			w.Header()[k] = v
		}
		body := recorded.Body.Bytes()
		if len(body) > 0 {
			body[len(body)/2] ^= 1
		}
		w.WriteHeader(recorded.Code)
		w.Write(body)
	}
}
