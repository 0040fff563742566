// Command bes is a build event service that pushes images while they are built: Bazel tells it which targets are done, and it moves the images of
// those that carry a plan from Bazel's remote cache to their registries. docs/guides/bes.md says how it is run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// process is all that the command may know of the process it runs in.
type process struct {
	Args   []string
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	Now    func() time.Time
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal kills
	p := process{os.Args[1:], os.Stdout, os.Stderr, os.Getenv, time.Now}
	if err := run(ctx, p); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(p.Stderr, "bes: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, p process) error {
	if len(p.Args) > 0 && p.Args[0] == "status" {
		p.Args = p.Args[1:]
		return printStatus(p)
	}
	return serve(ctx, p)
}
