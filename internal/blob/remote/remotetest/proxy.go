package remotetest

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy stands before a registry, counts what passes, and delays it.
type Proxy struct {
	// Registry is the host:port of the registry.
	Registry string
	// Latency is added to every request, and twice to the first of a connection, since that takes a round trip of its own.
	Latency time.Duration
	// Fault may answer a request itself, and then returns true. It may change what it lets pass.
	Fault func(http.ResponseWriter, *http.Request) bool

	forward http.Handler
	sent    atomic.Int64
	mu      sync.Mutex
	seen    []Seen
}

// Seen is one request that came by.
type Seen struct {
	Method, Path, Query string
	Status              int
}

// NewProxy runs a proxy before registry for the length of the test, and returns its host:port too.
func NewProxy(t testing.TB, registry string, fault func(http.ResponseWriter, *http.Request) bool) (*Proxy, string) {
	p := &Proxy{Registry: registry, Fault: fault}
	s := httptest.NewServer(p.Handler())
	t.Cleanup(s.Close)
	return p, strings.TrimPrefix(s.URL, "http://")
}

// Serve runs the proxy on loopback until ctx ends, and returns its host:port.
func (p *Proxy) Serve(ctx context.Context) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s := &http.Server{Handler: p.Handler(), ConnContext: newConnection}
	go s.Serve(l)
	context.AfterFunc(ctx, func() { s.Close() })
	return l.Addr().String(), nil
}

// Handler is the proxy as a handler.
func (p *Proxy) Handler() http.Handler {
	p.forward = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: p.Registry})
			r.Out.Host = r.In.Host // so that the registry names the proxy in its answers
			r.SetXForwarded()
		},
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 256, DisableCompression: true, WriteBufferSize: 256 << 10, ReadBufferSize: 64 << 10,
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	return http.HandlerFunc(p.serve)
}

type connectionKey struct{}

func newConnection(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, new(sync.Once))
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	if first, ok := r.Context().Value(connectionKey{}).(*sync.Once); ok {
		first.Do(func() { time.Sleep(p.Latency) })
	}
	time.Sleep(p.Latency)
	seen := Seen{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery}
	if r.Body != nil {
		r.Body = &countedBody{r.Body, p}
	}
	answer := &recorded{ResponseWriter: w}
	defer func() {
		seen.Status = answer.status
		p.mu.Lock()
		defer p.mu.Unlock()
		p.seen = append(p.seen, seen)
	}()
	if p.Fault == nil || !p.Fault(answer, r) {
		p.forward.ServeHTTP(answer, r)
	}
}

// Reset forgets what came by, and returns it with the bytes that were sent in requests.
func (p *Proxy) Reset() ([]Seen, int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	p.seen = nil
	return seen, p.sent.Swap(0)
}

type countedBody struct {
	io.ReadCloser
	proxy *Proxy
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.proxy.sent.Add(int64(n))
	return n, err
}

type recorded struct {
	http.ResponseWriter
	status int
}

func (r *recorded) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorded) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets an [http.ResponseController] find what it needs.
func (r *recorded) Unwrap() http.ResponseWriter { return r.ResponseWriter }
