package cas

import (
	"fmt"
	"strings"

	"google.golang.org/grpc"
)

// Dial connects to another gRPC service, whose endpoint is written as a cache's and which is shown the same credentials. Of the options it needs
// Credentials alone. It connects when it is first used; the caller closes it.
func Dial(endpoint string, o Options) (*grpc.ClientConn, error) {
	e, err := ParseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(e.Scheme, "http") || e.Path != "" {
		return nil, fmt.Errorf("%s: want grpc://HOST:PORT, grpcs://HOST:PORT or unix:PATH", e)
	}
	return grpc.NewClient(target(e), dialOptions(e, o)...)
}

// Trouble makes an [Error] of what a call over such a connection returned: it can tell what may pass. what is the thing that the
// call was about.
func Trouble(endpoint, what string, err error) error {
	e, parsing := ParseEndpoint(endpoint)
	if err == nil || parsing != nil {
		return err
	}
	trouble := troubleOf(e, what, err)
	trouble.noCache = true
	return trouble
}
