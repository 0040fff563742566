package remote

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

// host is one registry, and what a run has learned about it.
type host struct {
	registry name.Registry
	client   *http.Client
	auth     *authorizer
	// blobs and manifests say what is where; a registry keeps the two apart.
	blobs, manifests places
	broken           broken
	// pushes and pulls bound the requests under way. They are apart because a push may wait for a pull from the same
	// registry, whose slot it must not take.
	pushes, pulls *turns
	greeting      greeting
	idle          time.Duration
	mounts        mountHabits

	mu     sync.Mutex
	https  bool
	noHead bool // answers 405 to HEAD
}

func newHost(registry string, o Options) (*host, error) {
	reg, err := name.NewRegistry(registry, name.StrictValidation)
	if err != nil {
		return nil, fmt.Errorf("registry %s: %w", registry, err)
	}
	h := &host{
		registry: reg,
		client:   &http.Client{Transport: o.Transport, CheckRedirect: checkRedirect},
		pushes:   newTurns(o.Requests),
		pulls:    newTurns(o.Requests),
		idle:     o.Idle,
		https:    !isLoopback(registry),
	}
	h.mounts.self = knownHabit(registry)
	h.auth = newAuthorizer(reg, o)
	return h, nil
}

func (h *host) name() string { return h.registry.RegistryStr() }

// url is the address of something in a repository.
func (h *host) url(repository string, path ...string) *url.URL {
	u := &url.URL{Scheme: h.scheme(), Host: h.name()}
	return u.JoinPath(append([]string{"v2", repository}, path...)...)
}

// scheme is https, unless the registry is on this machine and does not speak TLS.
func (h *host) scheme() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.https {
		return "https"
	}
	return "http"
}

func (h *host) setHTTPS() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.https = true
}

func (h *host) hasNoHead() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.noHead
}

func (h *host) setNoHead() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.noHead = true
}

// owns reports whether u is the registry itself, to which alone credentials go.
func (h *host) owns(u *url.URL) bool { return h.isAt(u) && u.Scheme == h.scheme() }

// isAt reports whether u is on the registry's host and port, over TLS or not.
func (h *host) isAt(u *url.URL) bool {
	return hostPort(u) == hostPort(&url.URL{Scheme: u.Scheme, Host: h.name()})
}

// hostPort is the host and port of u, however they are written.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

func isLoopback(registry string) bool {
	host := registry
	if h, _, err := net.SplitHostPort(registry); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// dialHere makes names below .localhost mean this machine, as RFC 6761 has it: no name server must say where credentials go without TLS.
func dialHere(dial dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, port, err := net.SplitHostPort(address); err == nil && strings.HasSuffix(host, ".localhost") {
			address = net.JoinHostPort("localhost", port)
		}
		return dial(ctx, network, address)
	}
}

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// proxyElsewhere is the proxy for what is not on this machine.
func proxyElsewhere(r *http.Request) (*url.URL, error) {
	if isLoopback(r.URL.Host) {
		return nil, nil
	}
	return http.ProxyFromEnvironment(r)
}

// maxRedirects is more than any registry needs.
const maxRedirects = 5

// checkRedirect lets a request go elsewhere as what it is, without the credentials. They stay with the host that they are for, which
// [http.Client] knows by one spelling alone.
func checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	if next.Method != first.Method {
		return fmt.Errorf("a %s is redirected so that it would become a %s", first.Method, next.Method)
	}
	if first.URL.Scheme == "https" && next.URL.Scheme != "https" {
		return fmt.Errorf("a redirect leads from https to %s", next.URL.Scheme)
	}
	next.Header.Del("Authorization")
	credentials, ok := first.Header["Authorization"]
	if ok && !slices.ContainsFunc(via, func(r *http.Request) bool { return hostPort(r.URL) != hostPort(next.URL) }) {
		next.Header["Authorization"] = credentials
	}
	return nil
}

// greeting lets the first request to a registry go alone, since it is likely to be answered by a demand for credentials, so
// that the rest know how to give them.
type greeting struct {
	mu   sync.Mutex
	over chan struct{} // nil until somebody greets
}

// wait returns when the greeting is over. The caller who is to greet gets through at once. Everybody calls done after their
// request.
func (g *greeting) wait(ctx context.Context) (done func(), err error) {
	g.mu.Lock()
	over := g.over
	if over == nil {
		g.over = make(chan struct{})
		g.mu.Unlock()
		return func() { close(g.over) }, nil
	}
	g.mu.Unlock()
	select {
	case <-over:
		return func() {}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
