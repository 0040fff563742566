package main

import (
	"net/http"
	"time"

	"github.com/bazel-contrib/rules_img/internal/registry"
	"github.com/bazel-contrib/rules_img/internal/registry/auth"
)

// gate lets in whom the flags let in; it is nil when everybody may come in.
func (o options) gate() (*auth.Gate, error) {
	gate, err := o.Gate()
	if err != nil || gate == nil {
		return nil, err
	}
	gate.Realm, gate.Stall = o.tokenRealm, o.stall
	if o.issueTokens {
		gate.Issuer = auth.NewIssuer(time.Now)
	}
	return gate, nil
}

// guarded serves with whom the gate lets in.
func guarded(options registry.Options, gate *auth.Gate) http.Handler {
	if gate == nil {
		return registry.New(options)
	}
	options.Gate = gate
	return gate.With(registry.New(options))
}
