// Command layer measures how fast layers are made, how large they are and how much memory it takes, side by side with what else is on the
// machine: GNU tar with pigz, gzip and zstd, bsdtar, and another img.
//
//	go run ./bench/layer [-n RUNS] [-only PATTERN] [-large] [-write docs/performance.md]
//
// The tools take turns, A B A B, and medians are compared, so that what else the machine does harms all alike. Every result is checked. Data are
// the same on machines with the same Go: its sources and programs, and numbers of ChaCha8. They are kept in the user's cache directory.
//
// BENCH_IMG is a command of another img. In it {request}, {dir}, {out}, {format} and {level} are replaced; a plain path is called
// with "layer @{request}".
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	runs := flag.Int("n", 5, "how often each tool runs")
	only := flag.String("only", "", "a regular expression: measure only works whose name it matches")
	large := flag.Bool("large", false, "1.5 GB of large binaries instead of 86 MB: takes 3 GB on the disk and some minutes")
	write := flag.String("write", "", "a Markdown file whose table to replace")
	flag.Parse()
	if err := bench(ctx, *runs, *only, *write, *large); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, runs int, only, write string, large bool) error {
	pattern, err := regexp.Compile(only)
	if err != nil || runs < 1 {
		return errors.Join(err, errors.New("want -n of at least 1, and -only a regular expression"))
	}
	dir, err := directory()
	if err != nil {
		return err
	}
	img := filepath.Join(dir, "img")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", img, "./cmd/img").CombinedOutput(); err != nil {
		return fmt.Errorf("build img, from the module's root: %w\n%s", err, out)
	}
	var table []row
	for _, w := range works(dir, img, large) {
		if !pattern.MatchString(w.name) {
			continue
		}
		rows, err := w.measure(ctx, runs)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		table = append(table, rows...)
		fmt.Print(markdown(rows))
	}
	missing := notFound()
	fmt.Print(missing)
	if write == "" {
		return nil
	}
	return replaceTable(write, describe()+"\n"+markdown(table)+missing)
}

// directory is where data and results are.
func directory() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "rules_img", "bench", "layer")
	return dir, os.MkdirAll(filepath.Join(dir, "out"), 0o755)
}

// notFound says which tools are not on the machine.
func notFound() string {
	var missing []string
	for _, name := range []string{"tar", "pigz", "gzip", "zstd", "bsdtar"} {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if os.Getenv("BENCH_IMG") == "" {
		missing = append(missing, "another img (BENCH_IMG)")
	}
	if missing == nil {
		return ""
	}
	return "\nNot compared with, because not at hand: " + strings.Join(missing, ", ") + ".\n"
}
