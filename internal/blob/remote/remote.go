// Package remote is a client of the OCI distribution protocol: a repository of a registry as a [blob.Source] and
// [blob.Sink].
//
// The entry point is [New], which makes one [Client] for a run; [Client.Repository] opens repositories. The law: the
// fewest requests. All repositories of a client share connections, tokens and what was learned: a blob goes to a registry
// once and is mounted everywhere else. docs/design/003-push-protocol.md says why each request is made. Nothing is retried
// here: wrap a repository in [blob.Retry], which understands this package's errors.
package remote

import (
	"cmp"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Options are what a client needs to know. The zero value talks to public registries without credentials.
type Options struct {
	// Keychain has the credentials; nil has none. See [NewKeychain].
	Keychain authn.Keychain
	// Requests is how many requests to one registry are under way at most; 0 is 32. A registry that says it is asked too often
	// gets fewer.
	Requests int
	// Idle is how long a registry may send nothing of a body, or take nothing of one, before the request ends as a timeout that passes; 0 is
	// a minute.
	Idle time.Duration
	// Transport carries the requests; nil is [NewTransport].
	Transport http.RoundTripper
}

// Client is what the repositories of one run share. Its methods may be called concurrently.
type Client struct {
	options Options
	mu      sync.Mutex
	hosts   map[string]*host
}

// New makes a client.
func New(o Options) *Client {
	if o.Keychain == nil {
		o.Keychain = authn.NewMultiKeychain()
	}
	o.Requests = cmp.Or(o.Requests, 32)
	o.Idle = cmp.Or(o.Idle, time.Minute)
	if o.Transport == nil {
		o.Transport = NewTransport(o.Requests)
	}
	return &Client{options: o, hosts: map[string]*host{}}
}

// NewTransport makes the transport of a client. It trusts the system's roots, obeys HTTPS_PROXY and its relatives, and keeps
// the given number of connections to each registry. It speaks HTTP/1.1: uploads over one HTTP/2 connection wait for each
// other's flow control, and behind common proxies crawl as soon as there is latency.
func NewTransport(connections int) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext, t.Proxy = dialHere(t.DialContext), proxyElsewhere
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.DisableCompression = true // a digest is of the bytes as they are
	t.MaxIdleConns = 0
	t.MaxIdleConnsPerHost = connections
	t.WriteBufferSize, t.ReadBufferSize = 64<<10, 64<<10
	t.ResponseHeaderTimeout = answerWithin
	return t
}

// answerWithin is how long an answer may take to begin: a registry may move a large upload before it does.
const answerWithin = 15 * time.Minute

// Repository is one repository of a registry: a [blob.Source], [blob.Sink], [blob.Resolver], [blob.Tagger] and
// [blob.RangeOpener].
type Repository struct {
	host *host
	name string
	kept kept
}

var (
	_ blob.Sink        = (*Repository)(nil)
	_ blob.Resolver    = (*Repository)(nil)
	_ blob.Tagger      = (*Repository)(nil)
	_ blob.RangeOpener = (*Repository)(nil)
)

// Repository opens the repository of ref. It asks nothing of the registry yet.
func (c *Client) Repository(ref oci.Reference) (*Repository, error) {
	h, err := c.host(ref.Registry)
	if err != nil {
		return nil, err
	}
	return &Repository{host: h, name: ref.Repository}, nil
}

// Hint says that blobs are probably in the repository of from, so that other repositories of its registry can have
// them mounted from there. A wrong hint costs one request.
func (c *Client) Hint(from oci.Reference, blobs ...oci.Descriptor) error {
	h, err := c.host(from.Registry)
	if err != nil {
		return err
	}
	h.blobs.hint(from.Repository, blobs)
	return nil
}

func (c *Client) host(registry string) (*host, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h, ok := c.hosts[registry]; ok {
		return h, nil
	}
	h, err := newHost(registry, c.options)
	if err == nil {
		c.hosts[registry] = h
	}
	return h, err
}
