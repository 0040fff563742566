package main

import (
	"net/http"
	"time"

	"github.com/bazel-contrib/rules_img/internal/registry"
	"github.com/bazel-contrib/rules_img/internal/registry/auth"
)

// handler serves with whom the flags let in.
func (o options) handler(options registry.Options) (http.Handler, error) {
	gate, err := o.Gate()
	if err != nil {
		return nil, err
	}
	if gate == nil {
		return registry.New(options), nil
	}
	gate.Realm = o.tokenRealm
	if o.issueTokens {
		gate.Issuer = auth.NewIssuer(time.Now)
	}
	options.Gate = gate
	return gate.With(registry.New(options)), nil
}
