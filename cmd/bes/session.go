package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/bazel-contrib/rules_img/cmd/internal/wiring"
	"github.com/bazel-contrib/rules_img/internal/deploy"
)

// sessions are what the plans of one build share, for the builds that were seen last.
type sessions struct {
	open func() wiring.Registries

	mu   sync.Mutex
	all  map[string]*session
	last []string // invocations, the latest last
}

// mostSessions is how many are kept that have nothing to do.
const mostSessions = 16

// session is one build: connections, what they have learned, and what was pushed, so that what several plans ask for is done once.
type session struct {
	registries wiring.Registries
	users      int

	mu     sync.Mutex
	pushed map[string]*push
}

// push is one operation, of whichever plan.
type push struct {
	done   chan struct{}
	result deploy.Result
}

// of returns the session of an invocation, which is kept at least until done is called.
func (s *sessions) of(invocation string) (found *session, done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found = s.all[invocation]
	if found == nil {
		found = &session{registries: s.open(), pushed: map[string]*push{}}
		if s.all == nil {
			s.all = map[string]*session{}
		}
		s.all[invocation] = found
		s.last = append(s.last, invocation)
		s.forget()
	}
	found.users++
	return found, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		found.users--
	}
}

// forget drops the earliest sessions that nobody uses, if there are too many.
func (s *sessions) forget() {
	var kept []string
	for i, name := range s.last {
		if len(s.last)-i > mostSessions && len(kept)+len(s.last)-i > mostSessions && s.all[name].users == 0 {
			delete(s.all, name)
			continue
		}
		kept = append(kept, name)
	}
	s.last = kept
}

// push carries out operations, except those that another plan of the build has: these are waited for.
func (s *session) push(ctx context.Context, ops []deploy.Operation, o deploy.PushOptions) []deploy.Result {
	var mine, all []*push
	var todo []deploy.Operation
	for _, op := range ops {
		p, isNew := s.claim(op)
		all = append(all, p)
		if isNew {
			mine, todo = append(mine, p), append(todo, op)
		}
	}
	for i, r := range deploy.Push(ctx, todo, o) {
		mine[i].result = r
		close(mine[i].done)
	}
	var results []deploy.Result
	for _, p := range all {
		<-p.done
		results = append(results, p.result)
	}
	return results
}

func (s *session) claim(op deploy.Operation) (p *push, isNew bool) {
	key := fmt.Sprintf("%q %q %q %q", op.Registry, op.Repository, op.Root.Digest, op.Tags)
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pushed[key]; p != nil {
		return p, false
	}
	p = &push{done: make(chan struct{})}
	s.pushed[key] = p
	return p, true
}
