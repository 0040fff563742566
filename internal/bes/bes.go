// Package bes has images pushed that builds made, while they go on: it takes the events that Bazel sends, finds the plans that targets
// carry, and hands them to who pushes.
//
// [Server] is the service that Bazel sends events to, [Queue] keeps what is to be pushed, and a [Pusher] pushes.
//
// The law: an event is acknowledged only when what it asks for would survive the death of this process; and to see an event twice is the
// same as to see it once, since Bazel sends again what was not acknowledged when a connection broke.
package bes

import (
	"context"
	"time"
)

// Pusher carries out plans.
type Pusher interface {
	// Push carries out the plan of a job, or what is left of it: a job whose process died is pushed again. It is called concurrently. What
	// was pushed counts even when there is an error.
	Push(ctx context.Context, j Job) (Pushed, error)
}

// Pushed is what became of a plan.
type Pushed struct {
	// Names are what the images can be called by now.
	Names []string
	// Notes say what was left out, and why.
	Notes []string
}

// The states of a [Job].
const (
	Accepted = "accepted"
	Done     = "done"
	Failed   = "failed"
)

// Lost is what is counted of a job whose file is broken.
const Lost = "lost"

// Job is a plan that a build made, and what became of it. It is kept as a file: docs/formats/bes.md.
type Job struct {
	Version int    `json:"version"`
	ID      string `json:"id"`
	// Invocation is Bazel's --invocation_id.
	Invocation string `json:"invocation"`
	// Target is the label of the target that carries the plan.
	Target string `json:"target"`
	// Asked is whether the plan was asked for, as the output group deploy_manifest. One that is only among the files of its target is pushed as
	// far as it has the strategy bes.
	Asked bool `json:"asked"`
	Plan  File `json:"plan"`

	// State is one of the states above.
	State    string    `json:"state"`
	Accepted time.Time `json:"accepted"`
	Ended    time.Time `json:"ended,omitzero"`
	Names    []string  `json:"names,omitempty"`
	Notes    []string  `json:"notes,omitempty"`
	Error    string    `json:"error,omitempty"`
}

// File is a file that an event names.
type File struct {
	Name string `json:"name"`
	// URI says where the file is, unless Contents has it.
	URI      string `json:"uri,omitempty"`
	Contents []byte `json:"contents,omitempty"`
}
