// Command registry is an OCI registry whose images survive a restart: pull, push, content discovery and content management over HTTP,
// on one directory. docs/formats/registry.md says what is in the directory.
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
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal kills
	p := process{os.Args[1:], os.Stdout, os.Stderr}
	if err := run(ctx, p); err != nil {
		fmt.Fprintf(p.Stderr, "registry: %v\n", err)
		os.Exit(1)
	}
}
