// Package daemon is what the adapters that load images into container daemons share: the port, the choice of platforms,
// and names as daemons write them. The adapters are the packages below: containerd, docker, podman, generic.
//
// The entry point is the interface [Daemon]. The law of all adapters: what the daemon has is not sent; when it must be
// sent all the same, the result says why; what was loaded is what the daemon's own list of images shows, or the load
// fails.
package daemon

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Daemon takes images.
type Daemon interface {
	// Load makes the daemon hold an image under its names, which are moved if other images have them. Its errors name
	// the daemon and say what it said. When it fails, the names are as they were, or already the image's.
	Load(ctx context.Context, im Image) (Loaded, error)
}

// Image is what a daemon is to hold.
type Image struct {
	Root   oci.Descriptor
	Source blob.Source
	// Names are what to call it, checked. With none, the daemon holds it by digest.
	Names []Name
	// Platforms are those of an index to load.
	Platforms Platforms
	// Jobs is how many blobs are on their way at once, into a daemon that takes more than one; 0 is 32.
	Jobs int
	// Watch, if not nil, decorates the sink that the blobs go into, to show progress.
	Watch func(blob.Sink) blob.Sink
	// Dry asks what is there and changes nothing. The report then says what would be moved.
	Dry bool
	// Patience is how long the daemon may take to say what it is; 0 is a minute. One that hangs takes connections all the same.
	Patience time.Duration
}

// Asking bounds ctx for the first question to the daemon.
func (im Image) Asking(ctx context.Context) (context.Context, context.CancelFunc) {
	wait := cmp.Or(im.Patience, time.Minute)
	return context.WithTimeoutCause(ctx, wait, fmt.Errorf("no answer within %v: it hangs, and may have to be restarted", wait))
}

// Into is the sink to, as the image wants it.
func (im Image) Into(to blob.Sink) blob.Sink {
	if im.Dry {
		return dry{to}
	}
	if im.Watch != nil {
		return im.Watch(to)
	}
	return to
}

// dry is a sink that nothing is put into. What would be sent is opened, which makes [blob.Copy] count it as moved, but
// not read.
type dry struct{ blob.Sink }

func (dry) Put(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	r, err := src.Open(ctx, d)
	if err != nil {
		return err
	}
	return r.Close()
}

// Loaded is what a daemon holds now.
type Loaded struct {
	// Daemon is which it was, for people: "docker 28.5.2 (containerd image store)".
	Daemon string
	// Root is the image, or the manifest of one platform if the daemon holds no index.
	Root oci.Descriptor
	// Names are as the daemon's own commands write them.
	Names  []string
	Report blob.Report
	// Notes say why more was sent than the daemon lacked, or what else the user should know. One line each.
	Notes []string
}
