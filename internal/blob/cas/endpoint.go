package cas

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Endpoint is where a cache is.
type Endpoint struct {
	Scheme string // grpc, grpcs, unix, http or https
	Host   string // with a port, unless it is the scheme's; the path of the socket for unix
	// Path is the instance name of a gRPC cache, and what comes before /cas/ for one over HTTP.
	Path string
	User *url.Userinfo
}

// ParseEndpoint reads an endpoint as Bazel's --remote_cache has it: grpc://HOST:PORT, grpcs://HOST:PORT, unix:PATH, http://…, https://…,
// with USER:PASSWORD@ before the host if it wants that, and HOST:PORT alone for grpcs. A path after a gRPC host is the instance name.
func ParseEndpoint(s string) (Endpoint, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok && path != "" {
		if rest, ok := strings.CutPrefix(path, "//"); ok && strings.HasPrefix(rest, "/") {
			path = rest
		}
		return Endpoint{Scheme: "unix", Host: path}, nil
	}
	full := s
	if !strings.Contains(s, "://") {
		full = "grpcs://" + s
	}
	u, err := url.Parse(full)
	if err != nil || !slices.Contains([]string{"grpc", "grpcs", "http", "https"}, u.Scheme) || !isHost(u) || u.RawQuery != "" || u.Fragment != "" {
		return Endpoint{}, fmt.Errorf("remote cache %s: want grpc://HOST:PORT, grpcs://HOST:PORT, unix:PATH, http://… or https://…", redact(s))
	}
	return Endpoint{Scheme: u.Scheme, Host: u.Host, Path: strings.Trim(u.Path, "/"), User: u.User}, nil
}

func isHost(u *url.URL) bool { return u.Hostname() != "" && !strings.HasSuffix(u.Host, ":") }

// redact keeps what may be a secret out of messages.
func redact(s string) string {
	if i := strings.LastIndex(s, "@"); i >= 0 {
		return "…" + s[i:]
	}
	return s
}

// String is the endpoint for people, without user and password.
func (e Endpoint) String() string {
	s := e.Scheme + "://" + e.Host
	if e.Scheme == "unix" {
		s = "unix:" + e.Host
	}
	if e.Path != "" {
		s += "/" + e.Path
	}
	return s
}
