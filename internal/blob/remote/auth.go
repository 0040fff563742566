package remote

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// access is what a request does, as far as a registry wants to know it before it lets us.
type access struct {
	repository string
	push       bool
	from       string // the repository that a blob is mounted from
}

// scopes are the names of that access in the token protocol.
func (a access) scopes() []string {
	actions := "pull"
	if a.push {
		actions = "pull,push"
	}
	scopes := []string{"repository:" + a.repository + ":" + actions}
	if a.from != "" && a.from != a.repository {
		scopes = append(scopes, "repository:"+a.from+":pull")
	}
	return scopes
}

// authorizer has the credentials for one registry. A registry that asks for none never makes it look for any.
type authorizer struct {
	registry  name.Registry
	keychain  authn.Keychain
	transport http.RoundTripper
	patience  time.Duration // with a token server

	mu        sync.Mutex
	challenge challenge // without a scheme until the registry asks
	insecure  bool
	tokens    map[string]*bearer // by repository

	lookUp func() (*authn.AuthConfig, error) // once
}

// bearer is the token for one repository. Whoever holds turn may look at the rest and change it.
type bearer struct {
	turn    chan struct{}
	value   string
	scopes  []string
	expires time.Time
}

func newAuthorizer(reg name.Registry, o Options) *authorizer {
	return &authorizer{
		registry: reg, keychain: o.Keychain, transport: o.Transport, patience: o.Idle, tokens: map[string]*bearer{},
		lookUp: sync.OnceValues(func() (*authn.AuthConfig, error) {
			found, err := o.Keychain.Resolve(reg)
			if err != nil {
				return nil, fmt.Errorf("credentials for %s: %w", reg.RegistryStr(), err)
			}
			return found.Authorization()
		}),
	}
}

// credentials are those that lookUp finds, which is not waited for longer than ctx lasts: a helper may ask somebody, and hears of no context.
func (a *authorizer) credentials(ctx context.Context) (*authn.AuthConfig, error) {
	type found struct {
		*authn.AuthConfig
		error
	}
	looked := make(chan found, 1)
	go func() {
		c, err := a.lookUp()
		looked <- found{c, err}
	}()
	select {
	case f := <-looked:
		return f.AuthConfig, f.error
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// authorization is the header to send; empty as long as the registry has not asked for one.
func (a *authorizer) authorization(ctx context.Context, want access) (string, error) {
	a.mu.Lock()
	scheme := a.challenge.scheme
	a.mu.Unlock()
	if scheme == "" {
		return "", nil
	}
	c, err := a.credentials(ctx)
	switch {
	case err != nil:
		return "", err
	case c.RegistryToken != "":
		return "Bearer " + c.RegistryToken, nil
	case scheme == "bearer":
		return a.token(ctx, want, *c)
	case c.Username == "" && c.Password == "":
		return "", nil
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password)), nil
}

// learn takes the challenge of a 401 answer to a request that was sent with used. It reports whether another try may fare
// better.
func (a *authorizer) learn(resp *http.Response, want access, used string) bool {
	c, ok := parseChallenges(resp.Header)
	if !ok {
		return false
	}
	a.mu.Lock()
	known := a.challenge.scheme != ""
	a.challenge, a.insecure = c, resp.Request.URL.Scheme == "http"
	b := a.tokens[want.repository]
	a.mu.Unlock()
	if !known {
		return true
	}
	if c.scheme == "bearer" && b != nil {
		return b.revoke(resp.Request.Context(), used)
	}
	return used == "" // others have learned meanwhile
}

// revoke forgets a token that the registry did not take, unless it was renewed since it was used.
func (b *bearer) revoke(ctx context.Context, used string) bool {
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	if "Bearer "+b.value == used {
		b.value = ""
	}
	<-b.turn
	return true
}

// token returns a token that allows want, and gets one unless the last will do.
func (a *authorizer) token(ctx context.Context, want access, c authn.AuthConfig) (string, error) {
	b := a.bearer(want.repository)
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { <-b.turn }()
	if b.value == "" || time.Now().After(b.expires) || !b.covers(want) {
		if err := a.renew(ctx, b, want, c); err != nil {
			return "", err
		}
	}
	return "Bearer " + b.value, nil
}

func (a *authorizer) bearer(repository string) *bearer {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tokens[repository] == nil {
		a.tokens[repository] = &bearer{turn: make(chan struct{}, 1)}
	}
	return a.tokens[repository]
}

func (b *bearer) covers(want access) bool {
	for _, scope := range want.scopes() {
		if !slices.ContainsFunc(b.scopes, func(have string) bool { return strings.HasPrefix(have, scope) }) {
			return false
		}
	}
	return true
}

// renew gets a token for want and all that b was for.
func (a *authorizer) renew(ctx context.Context, b *bearer, want access, c authn.AuthConfig) error {
	scopes := want.scopes()
	for _, scope := range b.scopes {
		if !slices.ContainsFunc(scopes, func(s string) bool { return strings.HasPrefix(s, scope) }) {
			scopes = append(scopes, scope)
		}
	}
	a.mu.Lock()
	asked := &transport.Challenge{Scheme: a.challenge.scheme, Parameters: a.challenge.parameters, Insecure: a.insecure}
	a.mu.Unlock()
	asking, stop := context.WithTimeout(ctx, a.patience)
	defer stop()
	got, err := transport.Exchange(asking, a.registry, authn.FromConfig(c), keeping{a.transport}, scopes, asked)
	if err != nil && asking.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("get a token: no answer within %v: %w", a.patience, os.ErrDeadlineExceeded)
	}
	if err != nil {
		return fmt.Errorf("get a token: %w", err)
	}
	b.value, b.scopes = got.Token, scopes
	if got.AccessToken != "" {
		b.value = got.AccessToken
	}
	b.expires = time.Now().Add(lifetime(got.ExpiresIn))
	return nil
}

// keeping is a transport for questions to a token server. One that is redirected elsewhere with its body would take a refresh token along.
type keeping struct{ http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (k keeping) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := k.RoundTripper.RoundTrip(r)
	if err != nil || r.Method == http.MethodGet {
		return resp, err
	}
	if at, none := resp.Location(); none == nil && hostPort(at) != hostPort(r.URL) {
		drain(resp)
		return nil, fmt.Errorf("the token server at %s sends us to %s, for which the credentials are not", r.URL.Host, at.Host)
	}
	return resp, nil
}

// lifetime is how long a token is used: it ends early, for the way and for clocks that differ.
func lifetime(seconds int) time.Duration {
	life := time.Minute // by the specification
	if seconds > 0 {
		life = time.Duration(min(seconds, 1<<30)) * time.Second
	}
	return life - min(life/4, 30*time.Second)
}

// whence says where credentials were looked for, and whether any were found.
func (a *authorizer) whence(ctx context.Context) (string, bool) {
	c, err := a.credentials(ctx)
	found := err == nil && *c != (authn.AuthConfig{})
	if k, ok := a.keychain.(interface{ Whence() string }); ok {
		return k.Whence(), found
	}
	return "no credential file was looked at", found
}
