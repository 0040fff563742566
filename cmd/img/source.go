package main

import (
	"fmt"
	"sync"

	"github.com/bazel-contrib/rules_img/cmd/internal/wiring"
	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/deploy"
)

// clientOf returns what makes the client of a run when it is first needed, with the credentials of the user.
func clientOf(p process) func() *remote.Client {
	return sync.OnceValue(func() *remote.Client { return wiring.NewClient(p.Getenv, remote.Options{}) })
}

// planSource has every blob of plan: in files, which are beside it, in Bazel's outputs and caches if it is lazy, or in the registries of its
// bases. What is read is verified, and counted by where it came from.
func planSource(p process, plan deploy.Plan, files deploy.Files, from wiring.Registries, moved *blob.Counter) (blob.Source, error) {
	all := []blob.Named{wiring.Counted(moved, "files", files)}
	lazily := plan.Uses("lazy", "cas_registry", "bes")
	if lazily {
		lazy, err := lazySources(p, plan, from.Retry, moved)
		if err != nil {
			return nil, fmt.Errorf("plan of %s: %w", plan.Name, err)
		}
		all = append(all, lazy...)
	}
	bases, err := from.Bases(plan, moved)
	if err != nil {
		return nil, err
	}
	all = append(all, bases...)
	if lazily {
		return explained(p, plan, blob.Fallback(all...)), nil
	}
	return blob.Fallback(all...), nil
}

func planFiles(p process, plan deploy.Plan) (deploy.Files, error) {
	r, err := findRunfiles(p.Program, p.Getenv)
	if err != nil {
		return deploy.Files{}, fmt.Errorf("plan of %s: %w", plan.Name, err)
	}
	return deploy.NewFiles(plan, r.Path), nil
}
