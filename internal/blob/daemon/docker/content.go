package docker

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"

	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon/containerd"
	"github.com/bazel-contrib/rules_img/internal/layout"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// loadContainerd loads into a daemon with the containerd image store.
func (c *Client) loadContainerd(ctx context.Context, im daemon.Image, about about, done *daemon.Loaded) error {
	seen, err := c.buildkit()
	if err != nil {
		return err
	}
	defer seen.Close()
	store := containerd.NewStore("of docker "+c.host.String(), about.namespace, seen)
	if direct := c.direct(ctx, about, store); direct != nil {
		defer direct.Close()
		loaded, err := direct.Load(ctx, im)
		if err != nil {
			return err
		}
		loaded.Daemon, loaded.Names = done.Daemon, familiar(im.Names)
		*done = loaded
		if im.Dry {
			return nil
		}
		return c.shows(ctx, im.Root)
	}
	return c.sendContent(ctx, im, about, store, done)
}

// sendContent sends an archive of what the content store lacks.
func (c *Client) sendContent(ctx context.Context, im daemon.Image, about about, store *containerd.Store, done *daemon.Loaded) error {
	choice, err := daemon.Choose(ctx, im, about.platform)
	if err != nil {
		return err
	}
	done.Root, done.Names = im.Root, familiar(im.Names)
	store.Leave = choice.Leave
	archive := daemon.Archive{Image: im, Layout: layout.Image{Root: im.Root}, Missing: store.Missing, Leave: choice.Leave, OnlyLayout: true}
	for _, n := range im.Names {
		archive.Layout.Names = append(archive.Layout.Names, n.Full())
	}
	if _, err := store.Missing(ctx, im.Root); err != nil {
		done.Notes = append(done.Notes, fmt.Sprintf("sent all of the image, since Docker did not say what it has: %v", err))
		archive.Missing, archive.OnlyLayout = nil, false
	}
	done.Report, err = archive.Send(ctx, c.load)
	if err != nil && archive.Missing != nil && ctx.Err() == nil {
		done.Notes = append(done.Notes, fmt.Sprintf("sent all of the image, since Docker did not take the archive of what it lacks: %v", err))
		archive.Missing = nil
		done.Report, err = archive.Send(ctx, c.load)
	}
	if err != nil || im.Dry {
		return err
	}
	return c.shows(ctx, im.Root)
}

// shows reports an image that Docker does not show after a load.
func (c *Client) shows(ctx context.Context, root oci.Descriptor) error {
	if _, err := c.inspect(ctx, string(root.Digest)); err != nil {
		return fmt.Errorf("the image is not there after the load: %w", err)
	}
	return nil
}

// direct is a connection to Docker's containerd, if its socket is within reach. Whether it is Docker's is tried: a blob
// that is written to the one must show in the other.
func (c *Client) direct(ctx context.Context, about about, store *containerd.Store) *containerd.Client {
	if c.OnlyAPI || !c.host.local() {
		return nil
	}
	for _, address := range append([]string{about.address}, c.Containerd...) {
		if address == "" {
			continue
		}
		client, err := containerd.Dial(address, about.namespace)
		if err != nil {
			continue
		}
		if client.Shares(ctx, store) {
			client.Unnamed = "moby-dangling"
			return client
		}
		client.Close()
	}
	return nil
}

func familiar(names []daemon.Name) []string {
	var all []string
	for _, n := range names {
		all = append(all, n.Familiar())
	}
	return all
}

// buildkit connects to the BuildKit in Docker, whose API has a view of the content store that images are kept in.
func (c *Client) buildkit() (*grpc.ClientConn, error) {
	return containerd.Conn(func(ctx context.Context) (net.Conn, error) {
		conn, err := c.host.dial(ctx)
		if err != nil {
			return nil, err
		}
		upgraded, err := upgrade(ctx, conn)
		if err != nil {
			conn.Close()
		}
		return upgraded, err
	})
}

// upgrade turns an HTTP connection into one that speaks gRPC, unless ctx ends before.
func upgrade(ctx context.Context, conn net.Conn) (net.Conn, error) {
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })()
	req, err := http.NewRequest(http.MethodPost, "http://docker/grpc", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "h2c")
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	r := bufio.NewReader(conn)
	answer, err := http.ReadResponse(r, req)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("/grpc: %s", answer.Status)
	}
	return buffered{conn, r}, nil
}

// buffered is a connection of which a part was read ahead.
type buffered struct {
	net.Conn
	r *bufio.Reader
}

func (b buffered) Read(p []byte) (int, error) { return b.r.Read(p) }
