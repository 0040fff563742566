// Package containerd loads images into containerd through its API: the content store takes the blobs that it lacks, and
// the image store their name. Docker keeps its images this way too, in the namespace moby, when it uses the containerd
// image store.
//
// The entry points are [Dial] and [Client.Load]; [Store] is the content store of a namespace as a source and a sink of
// blobs. The law: everything is written under a lease, which keeps it from collection until a name does; a manifest is
// there only if all of it is, and only with the labels that keep what is below it.
package containerd

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"

	introspection "github.com/containerd/containerd/api/services/introspection/v1"
	version "github.com/containerd/containerd/api/services/version/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Client talks to one containerd about one namespace.
type Client struct {
	// Unnamed is what an image without a name is called, before "@" and its digest; empty is "import", as ctr has it.
	Unnamed string

	address, namespace string
	conn               *grpc.ClientConn
}

// Dial returns a client for the containerd that listens on the socket address, a path or unix:// and a path. It does
// not wait for a connection: what is wrong shows in the first call.
func Dial(address, namespace string) (*Client, error) {
	path := strings.TrimPrefix(address, "unix://")
	conn, err := Conn(func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	})
	if err != nil {
		return nil, fmt.Errorf("containerd %s: %w", path, err)
	}
	return &Client{address: path, namespace: namespace, conn: conn}, nil
}

// Conn is a gRPC connection over what dial opens.
func Conn(dial func(context.Context) (net.Conn, error)) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///containerd",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dial(ctx) }))
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Version asks which containerd this is. It is also the way to find out whether one listens.
func (c *Client) Version(ctx context.Context) (string, error) {
	v, err := version.NewVersionClient(c.conn).Version(ctx, &emptypb.Empty{})
	if err != nil {
		return "", c.wrap(ctx, "version", err)
	}
	return v.Version, nil
}

// Load implements [daemon.Daemon].
func (c *Client) Load(ctx context.Context, im daemon.Image) (daemon.Loaded, error) {
	asking, stop := im.Asking(ctx)
	defer stop()
	v, err := c.Version(asking)
	if err != nil {
		return daemon.Loaded{}, err
	}
	done := daemon.Loaded{Daemon: fmt.Sprintf("containerd %s, namespace %s", v, c.namespace), Root: im.Root}
	choice, err := daemon.Choose(ctx, im, c.Platform(ctx))
	if err != nil {
		return done, fmt.Errorf("containerd %s: %w", c.address, err)
	}
	store, release, err := c.Leased(ctx)
	if err != nil {
		return done, err
	}
	defer release()
	store.Leave = choice.Leave
	if done.Report, err = blob.Copy(ctx, im.Into(store), im.Source, blob.CopyOptions{Jobs: im.Jobs, Leave: choice.Leave}, im.Root); err != nil {
		return done, err
	}
	done.Names, err = c.name(c.in(ctx), im)
	return done, err
}

// in says to which namespace a call belongs.
func (c *Client) in(ctx context.Context) context.Context { return in(ctx, c.namespace) }

func in(ctx context.Context, namespace string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "containerd-namespace", namespace)
}

// Platform is the one that this containerd runs, as its runtime says, or else this machine's, since it
// listens on this machine.
func (c *Client) Platform(ctx context.Context) oci.Platform {
	own := oci.NormalizePlatform(oci.Platform{OS: "linux", Architecture: runtime.GOARCH})
	r, err := introspection.NewIntrospectionClient(c.conn).Plugins(ctx, &introspection.PluginsRequest{Filters: []string{`type=="io.containerd.runtime.v2"`}})
	if err != nil {
		return own
	}
	for _, plugin := range r.Plugins {
		for _, p := range plugin.Platforms {
			return oci.NormalizePlatform(oci.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant})
		}
	}
	return own
}

func (c *Client) wrap(ctx context.Context, what string, err error) error {
	return wrap(ctx, "containerd "+c.address, what, err)
}
