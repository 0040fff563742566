package deploy

import (
	"context"
	"fmt"
	"sync"

	"github.com/bazel-contrib/rules_img/internal/blob"
)

// Result says how one operation went.
type Result struct {
	Operation Operation
	// Place is where the image went, for messages: a repository, or a daemon.
	Place string
	// Names are what the image can be called by there, by digest first.
	Names []string
	// Report is what was moved, even if the operation failed later.
	Report blob.Report
	Err    error
}

// Kind carries out operations of one kind, side by side, and returns a result for each, in their order. What it needs of the
// machine it has been given before.
type Kind func(ctx context.Context, ops []Operation) []Result

// Run carries out operations, all at once, each by its kind. One that fails does not stop the others. The results are in the
// order of the operations.
func Run(ctx context.Context, ops []Operation, kinds map[string]Kind) []Result {
	results := make([]Result, len(ops))
	var all sync.WaitGroup
	for kind, at := range byKind(ops) {
		carry, ok := kinds[kind]
		if !ok {
			carry = unknown
		}
		all.Go(func() {
			for i, r := range carry(ctx, pick(ops, at)) {
				results[at[i]] = r
			}
		})
	}
	all.Wait()
	return results
}

// byKind returns where the operations of each kind stand.
func byKind(ops []Operation) map[string][]int {
	at := map[string][]int{}
	for i, op := range ops {
		at[op.Kind] = append(at[op.Kind], i)
	}
	return at
}

func pick(ops []Operation, at []int) []Operation {
	var out []Operation
	for _, i := range at {
		out = append(out, ops[i])
	}
	return out
}

func unknown(_ context.Context, ops []Operation) []Result {
	var all []Result
	for _, op := range ops {
		all = append(all, Result{Operation: op, Err: fmt.Errorf("%s: this img does not know operations of the kind %q: build the target again", op.Name, op.Kind)})
	}
	return all
}
