// Command push measures how img pushes, beside crane, against a real registry: requests and bytes as a proxy with latency
// counts them, and wall time. Both push the same images, each time to a new registry, one after the other in turns.
//
//	go run ./bench/push -latency 0,20ms,100ms -rounds 5
//
// It prints a Markdown table: medians, and for wall time the ratio to crane in the same run, which is what may be compared with
// other machines. After each push it asks the registry for every blob.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

func main() {
	latencies := flag.String("latency", "0,20ms,100ms", "latencies to add, separated by commas")
	rounds := flag.Int("rounds", 5, "how often everything is measured")
	many := flag.Int("images", 100, "how many images the rows about many push")
	craneMany := flag.Bool("crane-many", true, "let crane push the many images too, once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b := &bench{rounds: *rounds, many: *many, craneMany: *craneMany}
	if err := b.run(ctx, strings.Split(*latencies, ",")); err != nil {
		fmt.Fprintf(os.Stderr, "bench/push: %v\n", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, latencies []string) error {
	dir, err := os.MkdirTemp("", "bench-push-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := b.prepare(ctx, dir); err != nil {
		return err
	}
	fmt.Println("| latency | work | tool | requests | bytes sent | wall | to crane | CPU | peak memory |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|")
	for _, l := range latencies {
		latency, err := time.ParseDuration(strings.TrimSuffix(l, "s") + "s")
		if l == "0" {
			latency, err = 0, nil
		}
		if err != nil {
			return err
		}
		for _, w := range b.works() {
			if err := b.measure(ctx, w, latency); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
		}
	}
	return nil
}
