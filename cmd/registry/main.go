// Command registry is an OCI registry whose images survive a restart: pull, push, content discovery and content management over HTTP. Blobs
// are in one directory, in the remote cache that builds left them in, in a bucket, or in other registries. docs/guides/registry.md says how to run it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// process is all that the command may know of the process it runs in.
type process struct {
	Args   []string
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal kills
	p := process{os.Args[1:], os.Stdout, os.Stderr, os.Getenv}
	if err := run(ctx, p); err != nil {
		fmt.Fprintf(p.Stderr, "registry: %v\n", err)
		os.Exit(1)
	}
}
