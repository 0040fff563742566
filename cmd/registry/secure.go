package main

import (
	"net/http"
	"time"

	"github.com/bazel-contrib/rules_img/internal/registry"
	"github.com/bazel-contrib/rules_img/internal/registry/auth"
)

// gate lets in whom the flags let in; it is nil when everybody may come in.
func (s *servers) gate() (*auth.Gate, error) {
	gate, err := s.Gate()
	if err != nil || gate == nil {
		return nil, err
	}
	gate.Realm = s.tokenRealm
	if s.issueTokens {
		secret, err := s.store.Secret()
		if err != nil {
			return nil, err
		}
		gate.Issuer = auth.NewIssuer(secret, time.Now)
	}
	return gate, nil
}

// guarded serves with whom the gate lets in.
func guarded(options registry.Options, gate *auth.Gate) http.Handler {
	if gate != nil {
		options.Gate = gate
		if gate.Issuer != nil {
			options.Token = gate.ServeToken
		}
	}
	return registry.New(options)
}
