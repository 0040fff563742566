package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/progress"
)

// report tells machines on stdout, people on stderr and whoever asked in a file how it went. It returns an error unless all went
// well.
func (d *deployment) report(ctx context.Context, results []deploy.Result) error {
	untold := d.tell(results)
	if !d.quiet && slices.ContainsFunc(results, func(r deploy.Result) bool { return r.Err == nil }) {
		fmt.Fprintln(d.Stderr, "img:", summary(d.dryRun, results, d.moved.Tallys()))
	}
	return errors.Join(d.failure(ctx, results), untold)
}

// tell tells machines.
func (d *deployment) tell(results []deploy.Result) error {
	var names strings.Builder
	for _, r := range results {
		for _, name := range r.Names {
			fmt.Fprintln(&names, name)
		}
	}
	_, err := io.WriteString(d.Stdout, names.String())
	if d.resultFile != "" {
		err = errors.Join(err, writeResults(d.resultFile, d.dryRun, results, d.moved.Tallys()))
	}
	return err
}

// failure is the last line about what failed; what is wrong with each of several is said before. Of what ended with ctx, it goes without saying.
func (d *deployment) failure(ctx context.Context, results []deploy.Result) error {
	var failed []deploy.Result
	var errs []error
	for _, r := range results {
		if r.Err == nil {
			continue
		}
		failed = append(failed, r)
		if ctx.Err() == nil || !errors.Is(r.Err, context.Canceled) {
			errs = append(errs, r.Err)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	if len(results) == 1 && ctx.Err() == nil {
		return errs[0]
	}
	if more := len(errs) - mostErrors; more > 0 {
		errs = append(errs[:mostErrors], fmt.Errorf("and %d more, which a --result-file has", more))
	}
	if len(errs) > 0 {
		complain(d.Stderr, errors.Join(errs...)) // together, so that a hint that several have is given once
	}
	how := "failed"
	if ctx.Err() != nil {
		how = "interrupted"
	}
	return fmt.Errorf("%s: %s", how, undone(failed, len(results)))
}

// mostNames is how many operations the last line names, and mostErrors of how many the lines before it say what is wrong.
const mostNames, mostErrors = 10, 100

// undone names the operations that are not done.
func undone(failed []deploy.Result, of int) string {
	var names []string
	for _, r := range failed {
		name := r.Operation.Name
		if r.Place != "" {
			name += " to " + r.Place
		}
		names = append(names, strings.TrimSpace(name))
	}
	if more := len(names) - mostNames; more > 0 {
		names = append(names[:mostNames], fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("%d of %d not done: %s", len(failed), of, strings.Join(names, ", "))
}

// summary says in one line how many blobs and bytes came from where.
func summary(dryRun bool, results []deploy.Result, from []blob.SourceTally) string {
	var all blob.Report
	done := 0
	for _, r := range results {
		all = all.Plus(r.Report)
		if r.Err == nil {
			done++
		}
	}
	did, sent := "deployed", "sent"
	if dryRun {
		did, sent = "would deploy", "to send"
	}
	parts := []string{fmt.Sprintf("%s %s", did, count(done, "image"))}
	if all.Present.Blobs > 0 {
		parts = append(parts, fmt.Sprintf("%d there already", all.Present.Blobs))
	}
	if all.Mounted.Blobs > 0 {
		parts = append(parts, fmt.Sprintf("%s there or mounted, %s", count(all.Mounted.Blobs, "blob"), progress.Bytes(all.Mounted.Bytes)))
	}
	moved := fmt.Sprintf("%s %s, %s", count(all.Moved.Blobs, "blob"), sent, progress.Bytes(all.Moved.Bytes))
	if all.Moved.Blobs == 0 {
		moved = "nothing " + sent
	} else if !dryRun {
		moved += origins(from)
	}
	return strings.Join(append(parts, moved), "; ")
}

// origins says how much was read from where, if that is not plain.
func origins(from []blob.SourceTally) string {
	var parts []string
	for _, t := range from {
		parts = append(parts, fmt.Sprintf("%s from %s", progress.Bytes(t.Bytes), t.Name))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
