package docker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// host is where a daemon listens.
type host struct {
	network, address string
	tls              *tls.Config
}

func (h host) String() string { return h.network + "://" + h.address }

func (h host) dial(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, h.network, h.address)
	if err != nil || h.tls == nil {
		return conn, err
	}
	secured := tls.Client(conn, h.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

// Dial returns a client for the daemon that docker's own command would talk to: $DOCKER_HOST, the context in
// $DOCKER_CONTEXT or the configuration, or the socket where Docker is by default. It does not connect yet.
func Dial(getenv func(string) string) (*Client, error) {
	h, err := findHost(getenv)
	if err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	return newClient(h), nil
}

func newClient(h host) *Client {
	transport := &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return h.dial(ctx) },
		DisableCompression: true,
	}
	return &Client{host: h, http: &http.Client{Transport: transport}}
}

func findHost(getenv func(string) string) (host, error) {
	if s := getenv("DOCKER_HOST"); s != "" {
		return parseHost(s, getenv)
	}
	s, err := contextHost(getenv)
	if err != nil {
		return host{}, err
	}
	if s != "" {
		return parseHost(s, func(string) string { return "" })
	}
	if runtime.GOOS == "windows" {
		return host{}, errors.New("named pipes are not supported: let Docker listen on tcp:// and set DOCKER_HOST, or use the daemon generic with LOADER_BINARY=docker")
	}
	return host{network: "unix", address: "/var/run/docker.sock"}, nil
}

func parseHost(s string, getenv func(string) string) (host, error) {
	u, err := url.Parse(s)
	if err != nil {
		return host{}, fmt.Errorf("host %q: %w", s, err)
	}
	switch u.Scheme {
	case "unix":
		return host{network: "unix", address: u.Path}, nil
	case "tcp", "http", "https":
		h := host{network: "tcp", address: u.Host}
		if getenv("DOCKER_TLS_VERIFY") != "" || u.Scheme == "https" {
			h.tls, err = clientTLS(u.Hostname(), getenv("DOCKER_CERT_PATH"), home(getenv))
		}
		return h, err
	}
	return host{}, fmt.Errorf("host %q: want unix:// or tcp://; for anything else use the daemon generic with LOADER_BINARY=docker", s)
}

// clientTLS has the certificates that docker's command takes: ca.pem, cert.pem and key.pem in a folder.
func clientTLS(name, folder, home string) (*tls.Config, error) {
	if folder == "" {
		folder = filepath.Join(home, ".docker")
	}
	pem, err := os.ReadFile(filepath.Join(folder, "ca.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: holds no certificate", filepath.Join(folder, "ca.pem"))
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"))
	if err != nil {
		return nil, err
	}
	return &tls.Config{ServerName: name, RootCAs: roots, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}, nil
}

// home is the user's directory, by the name that it has in Windows too.
func home(getenv func(string) string) string { return cmp.Or(getenv("HOME"), getenv("USERPROFILE")) }

// contextHost is the host of the current context, or empty for the default one.
func contextHost(getenv func(string) string) (string, error) {
	folder := getenv("DOCKER_CONFIG")
	if folder == "" {
		folder = filepath.Join(home(getenv), ".docker")
	}
	name := getenv("DOCKER_CONTEXT")
	if name == "" {
		var config struct{ CurrentContext string }
		if err := readJSON(filepath.Join(folder, "config.json"), &config); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		name = config.CurrentContext
	}
	if name == "" || name == "default" {
		return "", nil
	}
	sum := sha256.Sum256([]byte(name))
	var meta struct {
		Endpoints map[string]struct{ Host string }
	}
	if err := readJSON(filepath.Join(folder, "contexts", "meta", hex.EncodeToString(sum[:]), "meta.json"), &meta); err != nil {
		return "", fmt.Errorf("context %s: %w", name, err)
	}
	return meta.Endpoints["docker"].Host, nil
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// local reports whether the daemon is on this machine, so that paths which it names may be ours.
func (h host) local() bool { return h.network == "unix" && strings.HasPrefix(h.address, "/") }
