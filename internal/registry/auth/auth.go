// Package auth knows who may use a registry: users of an htpasswd file, and holders of tokens.
//
// The entry point is [Gate], which package registry asks before it reads a request's body. Its law: who is known may do everything;
// nothing that is secret is compared in a way whose time tells about it, is kept in clear, or appears in an error.
package auth

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
)

// Gate admits requests. It needs Users or Tokens.
type Gate struct {
	// Users may come in with their names and passwords.
	Users *Users
	// Tokens may be shown as bearer tokens, or as the password of any name where a client knows nothing else.
	Tokens *Tokens
	// Issuer, where there is one, gives those who are known a token for a while, which is what they are then told to ask for.
	Issuer *Issuer
	// Realm is the address at which clients reach [Gate.ServeToken]; "" is [TokenPath] of what they call this server.
	Realm string
}

// Admit returns the name of who sends the request, or a challenge that tells a client what to show.
func (g *Gate) Admit(r *http.Request) (who, challenge string) {
	if token, ok := bearer(r); ok {
		if who, ok := g.Issuer.check(token); ok {
			return who, ""
		}
		if g.Tokens.has(token) {
			return "token", ""
		}
	}
	if who, ok := g.login(r); ok {
		return who, ""
	}
	return "", g.challenge(r)
}

// login looks at the name and the password of a request.
func (g *Gate) login(r *http.Request) (who string, ok bool) {
	name, password, ok := r.BasicAuth()
	return name, ok && (g.Tokens.has(password) || g.Users.check(r.Context(), name, password))
}

func (g *Gate) challenge(r *http.Request) string {
	if g.Issuer == nil {
		return `Basic realm="registry"`
	}
	realm := cmp.Or(g.Realm, (&url.URL{Scheme: scheme(r), Host: r.Host, Path: TokenPath}).String())
	return `Bearer realm="` + realm + `",service="registry"`
}

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

func bearer(r *http.Request) (string, bool) {
	kind, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return token, ok && strings.EqualFold(kind, "Bearer")
}
