package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/progress"
)

// report tells machines on stdout, people on stderr and whoever asked in a file how it went. It returns an error unless all went
// well.
func (d *deployment) report(ctx context.Context, results []deploy.Result) error {
	var failed []deploy.Result
	for _, r := range results {
		for _, name := range r.Names {
			fmt.Fprintln(d.Stdout, name)
		}
		if r.Err != nil {
			failed = append(failed, r)
		}
	}
	if d.resultFile != "" {
		if err := writeResults(d.resultFile, d.dryRun, results, d.moved.Tallys()); err != nil {
			return err
		}
	}
	if !d.quiet && len(failed) < len(results) {
		fmt.Fprintln(d.Stderr, "img:", summary(d.dryRun, results, d.moved.Tallys()))
	}
	switch {
	case len(failed) == 0:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: %s", undone(failed, len(results)))
	case len(results) == 1:
		return failed[0].Err
	}
	complain(d.Stderr, errorsOf(failed))
	return fmt.Errorf("failed: %s", undone(failed, len(results)))
}

// errorsOf joins the errors, so that a hint that several have is given once.
func errorsOf(failed []deploy.Result) error {
	var all []error
	for _, r := range failed {
		all = append(all, r.Err)
	}
	return errors.Join(all...)
}

// mostNames is how many operations the last line names; all are in the lines before it.
const mostNames = 10

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
