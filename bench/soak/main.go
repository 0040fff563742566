// Command soak runs the registry and the build event service under a mixed load for long, and says whether they leak.
//
//	go run ./bench/soak [-for 20m] [-rate 8] [-clients 4] [-write docs/performance.md]
//
// Images are pushed (by a client, by img with and without the remote cache, by builds that tell their events), pulled, listed and deleted;
// builds break off and come again, fail, or do not come again; uploads are begun and left. The load has pauses: after a fifth of
// the time, in the middle of the rest, and at the end. In them the servers have collected what nobody needs, and memory, goroutines, files and
// disk are compared. Both are real processes on stores in a directory and in bazel-remote, and are looked at from outside.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/bazel-contrib/rules_img/bench/scene"
)

func main() {
	o := options{root: ".", shares: []time.Duration{1, 2, 2}}
	flag.DurationVar(&o.time, "for", 20*time.Minute, "how long the load lasts, without its pauses")
	flag.Float64Var(&o.rate, "rate", 8, "how many operations begin in a second, at most")
	flag.IntVar(&o.clients, "clients", 4, "how many are under way at once, at most")
	flag.DurationVar(&o.grace, "grace", 30*time.Second, "how long the servers keep what nobody needs")
	write := flag.String("write", "", "a Markdown file whose table to replace")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := o.run(ctx, *write); err != nil {
		fmt.Fprintln(os.Stderr, "bench/soak:", err)
		os.Exit(1)
	}
}

func (o options) run(ctx context.Context, write string) error {
	r, err := soak(ctx, o)
	if err != nil {
		return err
	}
	if write == "" {
		fmt.Print(r.table())
	} else if err := scene.Replace(write, "bench/soak", r.table()); err != nil {
		return err
	}
	return r.verdict()
}
