// Package front is how a server is reached and who may come in: the flags for that ([Options.Add]), and what they mean.
//
// Its law: beyond loopback nobody is let in unknown or unprotected, unless the operator says that this is meant.
package front

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/bazel-contrib/rules_img/internal/registry/auth"
)

// Options are what the command line says.
type Options struct {
	// Danger is what anybody who reaches the server may do, for the flags' descriptions and errors.
	Danger string

	address             string
	port                int
	insecureListen      bool
	tlsCert, tlsKey     string
	htpasswd, tokenFile string
}

// Add declares the flags. port is the default one.
func (o *Options) Add(flags *flag.FlagSet, port int) {
	flags.StringVar(&o.address, "address", "127.0.0.1", "`address` to listen on")
	flags.IntVar(&o.port, "port", port, "`port` to listen on; 0 is any that is free")
	flags.BoolVar(&o.insecureListen, "insecure-listen", false, "listen beyond loopback without TLS or authentication: anybody there may "+o.Danger)
	flags.StringVar(&o.tlsCert, "tls-cert", "", "`file` with the certificate and those that lead to its root, in PEM; turns TLS on")
	flags.StringVar(&o.tlsKey, "tls-key", "", "`file` with the key of the certificate")
	flags.StringVar(&o.htpasswd, "htpasswd", "", "`file` of users and their bcrypt hashes, as made by htpasswd -B; only they may come in")
	flags.StringVar(&o.tokenFile, "token-file", "", "`file` of bearer tokens, one a line; who has one may come in, also with it as a password")
}

// Check says what is wrong with the flags.
func (o Options) Check() error {
	switch {
	case o.port < 0 || o.port > 65535:
		return fmt.Errorf("--port=%d: is none", o.port)
	case (o.tlsCert == "") != (o.tlsKey == ""):
		return errors.New("want --tls-cert and --tls-key together")
	case !o.insecureListen && !isLoopback(o.address) && (o.tlsCert == "" || !o.Authenticates()):
		return fmt.Errorf("--address=%s is reachable from outside, where anybody could then %s: add --tls-cert and "+
			"--tls-key, and --htpasswd or --token-file; or listen on 127.0.0.1; or say --insecure-listen if that is meant", o.address, o.Danger)
	}
	return nil
}

func isLoopback(address string) bool {
	ip := net.ParseIP(address)
	return address == "localhost" || ip != nil && ip.IsLoopback()
}

// Authenticates reports whether not everybody may come in.
func (o Options) Authenticates() bool { return o.htpasswd != "" || o.tokenFile != "" }

// Listen starts to listen.
func (o Options) Listen() (net.Listener, error) { return o.ListenOn(o.port) }

// ListenOn starts to listen on another port of the same address.
func (o Options) ListenOn(port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort(o.address, strconv.Itoa(port)))
}

// Gate knows who may come in; it is nil when everybody may.
func (o Options) Gate() (g *auth.Gate, err error) {
	if !o.Authenticates() {
		return nil, nil
	}
	g = new(auth.Gate)
	if g.Users, err = parseFile(o.htpasswd, auth.ParseUsers); err != nil {
		return nil, err
	}
	if g.Tokens, err = parseFile(o.tokenFile, auth.ParseTokens); err != nil {
		return nil, err
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

// TLS returns nil when it is not asked for.
func (o Options) TLS() (*tls.Config, error) {
	if o.tlsCert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(o.tlsCert, o.tlsKey)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert=%s --tls-key=%s: %w", o.tlsCert, o.tlsKey, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}
