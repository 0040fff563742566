package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/bazel-contrib/rules_img/internal/registry"
	"github.com/bazel-contrib/rules_img/internal/registry/auth"
)

// handler serves with whom the flags let in.
func (o options) handler(options registry.Options) (http.Handler, error) {
	if !o.authenticates() {
		return registry.New(options), nil
	}
	gate, err := o.gate()
	if err != nil {
		return nil, err
	}
	options.Gate = gate
	return gate.With(registry.New(options)), nil
}

func (o options) gate() (g *auth.Gate, err error) {
	g = &auth.Gate{Realm: o.tokenRealm}
	if g.Users, err = parseFile(o.htpasswd, auth.ParseUsers); err != nil {
		return nil, err
	}
	if g.Tokens, err = parseFile(o.tokenFile, auth.ParseTokens); err != nil {
		return nil, err
	}
	if o.issueTokens {
		g.Issuer = auth.NewIssuer(time.Now)
	}
	return g, nil
}

// parseFile parses a file that may not have been asked for.
func parseFile[T any](path string, parse func(string) (*T, error)) (*T, error) {
	if path == "" {
		return nil, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	parsed, err := parse(string(content))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return parsed, nil
}

// tls returns nil when HTTPS is not asked for.
func (o options) tls() (*tls.Config, error) {
	if o.tlsCert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(o.tlsCert, o.tlsKey)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert=%s --tls-key=%s: %w", o.tlsCert, o.tlsKey, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}
