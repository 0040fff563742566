package main

import (
	"context"
	"sync"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// results is the action cache.
type results struct {
	repb.UnimplementedActionCacheServer

	mu    sync.Mutex
	known map[string]*repb.ActionResult
}

func (r *results) GetActionResult(_ context.Context, q *repb.GetActionResultRequest) (*repb.ActionResult, error) {
	if known := r.get(q.ActionDigest); known != nil {
		return known, nil
	}
	return nil, status.Error(codes.NotFound, "no result of this action is known")
}

func (r *results) UpdateActionResult(_ context.Context, q *repb.UpdateActionResultRequest) (*repb.ActionResult, error) {
	r.put(q.ActionDigest, q.ActionResult)
	return q.ActionResult, nil
}

func (r *results) get(action *repb.Digest) *repb.ActionResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[action.GetHash()]
}

func (r *results) put(action *repb.Digest, result *repb.ActionResult) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[action.GetHash()] = result
}
