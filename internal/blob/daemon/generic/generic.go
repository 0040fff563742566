// Package generic loads images by a program that reads an archive from its standard input: `$LOADER_BINARY load`, as
// docker, nerdctl, podman and finch do. What the program has already is not known, so all of the image is sent.
//
// The entry point is [Loader].
package generic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/layout"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Loader loads by a program.
type Loader struct {
	// Program is the name or the path of it.
	Program string
	// Output is where what it prints goes.
	Output io.Writer
}

// Load implements [daemon.Daemon]. An index of which one platform is wanted is loaded as the manifest of that platform,
// since more loaders take that; several platforms are an index.
func (l Loader) Load(ctx context.Context, im daemon.Image) (daemon.Loaded, error) {
	if l.Program == "" {
		return daemon.Loaded{}, errors.New("generic: LOADER_BINARY is not set: set it to a program that loads an archive with `PROGRAM load`")
	}
	done := daemon.Loaded{Daemon: filepath.Base(l.Program) + " load", Root: im.Root, Notes: []string{"sent all of the image, since a generic loader can't say what it has"}}
	choice, err := daemon.Choose(ctx, im, oci.NormalizePlatform(oci.Platform{OS: "linux", Architecture: runtime.GOARCH}))
	if err != nil {
		return done, fmt.Errorf("%s: %w", l.Program, err)
	}
	if len(choice.Manifests) == 1 {
		done.Root = choice.Manifests[0]
	}
	archive := daemon.Archive{Image: im, Layout: layout.Image{Root: done.Root}, Leave: choice.Leave}
	for _, n := range im.Names {
		archive.Layout.Names = append(archive.Layout.Names, n.Full())
		done.Names = append(done.Names, n.Familiar())
	}
	done.Report, err = archive.Send(ctx, l.run)
	return done, err
}

func (l Loader) run(ctx context.Context, archive io.Reader) error {
	said := &tail{to: l.Output}
	cmd := exec.CommandContext(ctx, l.Program, "load")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = archive, said, said
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s load: %w: %s", l.Program, err, strings.TrimSpace(said.last))
	}
	return nil
}

// tail passes on what is written and keeps the end of it for an error.
type tail struct {
	to   io.Writer
	last string
}

func (t *tail) Write(p []byte) (int, error) {
	t.last += string(p)
	t.last = t.last[max(0, len(t.last)-500):]
	if t.to == nil {
		return len(p), nil
	}
	return t.to.Write(p)
}
