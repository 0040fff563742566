// Package docker loads images into Docker. It asks the daemon which store it keeps images in, and moves what that store
// lacks, by the best way there is:
//
//   - the containerd image store and its socket within reach: into containerd itself;
//   - the containerd image store otherwise: an archive of what is missing, which BuildKit's view of the content store, a part of
//     Docker's API, tells exactly;
//   - a graph driver (overlay2, vfs, …): an archive without the layers whose chains the daemon's images have already.
//
// docs/design/005-load.md says what was tried with which daemons. The entry points are [Dial] and [Client.Load]. The
// law: after a load Docker's own API shows the image, or the load has failed.
package docker

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Client talks to one Docker daemon.
type Client struct {
	// Containerd lists sockets where Docker's containerd may be, besides the one that Docker names.
	Containerd []string
	// OnlyAPI keeps away from containerd's socket.
	OnlyAPI bool
	// Podman opens a Podman by its socket, for a daemon that speaks Docker's API and turns out to be one; nil is an error.
	Podman func(socket string) daemon.Daemon

	host  host
	http  *http.Client
	known sync.Map // of an image's ID, its layers
}

// Load implements [daemon.Daemon].
func (c *Client) Load(ctx context.Context, im daemon.Image) (daemon.Loaded, error) {
	asking, stop := im.Asking(ctx)
	defer stop()
	about, err := c.about(asking)
	if err != nil {
		return daemon.Loaded{}, err
	}
	done := daemon.Loaded{Daemon: about.String()}
	switch {
	case about.podman && c.Podman != nil && c.host.local():
		return c.Podman(c.host.address).Load(ctx, im)
	case about.podman:
		return done, fmt.Errorf("docker %s: is Podman: load with --daemon podman", c.host)
	case about.containerd:
		err = c.loadContainerd(ctx, im, about, &done)
	default:
		err = c.loadGraph(ctx, im, about, &done)
	}
	if err != nil {
		return done, fmt.Errorf("%s: %w", about, err)
	}
	return done, nil
}

// about is what a load must know of the daemon.
type about struct {
	version    string
	driver     string
	containerd bool   // it uses the containerd image store
	address    string // of its containerd, as it says itself since version 28
	namespace  string
	platform   oci.Platform
	podman     bool
}

func (a about) String() string {
	if a.containerd {
		return fmt.Sprintf("docker %s (containerd image store)", a.version)
	}
	return fmt.Sprintf("docker %s (%s)", a.version, a.driver)
}

func (c *Client) about(ctx context.Context) (about, error) {
	var version struct {
		Version, Os, Arch string
		Components        []struct{ Name string }
	}
	if err := c.get(ctx, "/version", &version); err != nil {
		return about{}, err
	}
	var info struct {
		Driver       string
		DriverStatus [][2]string
		Containerd   *struct {
			Address    string
			Namespaces struct{ Containers string }
		}
	}
	if err := c.get(ctx, "/info", &info); err != nil {
		return about{}, err
	}
	a := about{version: version.Version, driver: info.Driver, namespace: "moby"}
	a.platform = daemonPlatform(version.Os, version.Arch)
	for _, component := range version.Components {
		a.podman = a.podman || strings.HasPrefix(component.Name, "Podman")
	}
	for _, pair := range info.DriverStatus {
		a.containerd = a.containerd || pair[0] == "driver-type" && pair[1] == "io.containerd.snapshotter.v1"
	}
	if info.Containerd != nil {
		a.address = info.Containerd.Address
		if ns := info.Containerd.Namespaces.Containers; ns != "" {
			a.namespace = ns
		}
	}
	return a, nil
}

// daemonPlatform is what a daemon runs. Docker does not say which variant; a 32-bit ARM that runs Docker today has v7.
func daemonPlatform(os, architecture string) oci.Platform {
	p := oci.Platform{OS: os, Architecture: architecture}
	if architecture == "arm" {
		p.Variant = "v7"
	}
	return oci.NormalizePlatform(p)
}
