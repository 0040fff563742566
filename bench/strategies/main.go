// Command strategies measures the four ways of pushing from where it matters: the machine that runs Bazel. Actions run on another machine
// (tools/rexd), whose storage is the remote cache; everything between the two, and between this machine and the registry, is counted.
//
//	go run ./bench/strategies [-images 1,100] [-latency 20ms] [-write docs/push-strategies.md]
//
// Each strategy has a cache, a registry and an output base of its own, all empty, and goes from sources to an image in the registry.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/bazel-contrib/rules_img/bench/scene"
)

func main() {
	counts := flag.String("images", "1,100", "numbers of images, separated by commas; the last is pushed again")
	latency := flag.Duration("latency", 20*time.Millisecond, "how far away the registry is")
	only := flag.String("strategies", "eager,lazy,cas_registry,bes", "strategies, separated by commas; times are compared with the first")
	write := flag.String("write", "", "a Markdown file whose table to replace")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, strings.Split(*counts, ","), strings.Split(*only, ","), *latency, *write); err != nil {
		fmt.Fprintln(os.Stderr, "bench/strategies:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, counts, strategies []string, latency time.Duration, write string) error {
	root, err := filepath.Abs(".")
	if err != nil {
		return err
	}
	programs, err := scene.BuildPrograms(ctx, "./cmd/registry", "./cmd/bes", "./tools/rexd")
	if err != nil {
		return err
	}
	defer os.RemoveAll(programs)
	table := []string{
		"| work | strategy | down | up | requests to the registry | wall | to " + strategies[0] + " |",
		"|---|---|---:|---:|---:|---:|---:|",
	}
	for i, text := range counts {
		images, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		rows, err := measure(ctx, setting{root, programs, images, latency, i == len(counts)-1}, strategies)
		if err != nil {
			return err
		}
		table = append(table, rows...)
	}
	text := strings.Join(table, "\n") + "\n"
	if write == "" {
		fmt.Print(text)
		return nil
	}
	return scene.Replace(write, "bench/strategies", text)
}

// setting is what strategies are compared at.
type setting struct {
	root, programs string
	images         int
	latency        time.Duration
	again          bool // after a small change, and from another machine
}

// measure returns the rows, work by work.
func measure(ctx context.Context, s setting, strategies []string) ([]string, error) {
	works := []string{count(s.images) + ", new"}
	if s.again {
		works = append(works, "the same after one file of one image changed", "the same again, from another machine")
	}
	took := map[string][]cost{}
	for _, strategy := range strategies {
		all, err := s.push(ctx, strategy, len(works))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", strategy, err)
		}
		took[strategy] = all
	}
	var rows []string
	for i, work := range works {
		for _, strategy := range strategies {
			c := took[strategy][i]
			rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s | %d | %.1f s | %.2f |", work, strategy, megabytes(c.down), megabytes(c.up),
				c.requests, c.wall.Seconds(), c.wall.Seconds()/took[strategies[0]][i].wall.Seconds()))
			fmt.Fprintln(os.Stderr, rows[len(rows)-1])
			work = ""
		}
	}
	return rows, nil
}

func count(n int) string {
	if n == 1 {
		return "one image"
	}
	return fmt.Sprintf("%d images that share layers", n)
}

func megabytes(n int64) string { return fmt.Sprintf("%.2f MB", float64(n)/1e6) }
