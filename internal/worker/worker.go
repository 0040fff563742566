// Package worker is the tool's side of Bazel's persistent workers: JSON requests on one stream, responses on the other, many at a time
// (multiplex), each perhaps in a directory of its own (sandboxing), each to be cancelled. Its entry point is [Serve].
//
// The law: a request is answered exactly once, and what it does depends on it alone, not on those before it or beside it.
package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Flag is what Bazel appends to the command line that starts a worker.
const Flag = "--persistent_worker"

// Request is one action.
type Request struct {
	Arguments []string `json:"arguments"`
	Inputs    []Input  `json:"inputs"`
	// ID is 0 when Bazel sends one request after the other.
	ID int `json:"requestId"`
	// Cancel asks to end the request of this ID.
	Cancel bool `json:"cancel"`
	// Dir is where the relative paths of the request begin; empty for the working directory.
	Dir string `json:"sandboxDir"`
}

// Input is a file that an action may read.
type Input struct {
	Path string `json:"path"`
	// Digest is that of Bazel's digest function, which it does not name, in hexadecimal text. It may be empty.
	Digest []byte `json:"digest"`
}

// response answers a request.
type response struct {
	ExitCode     int    `json:"exitCode"`
	Output       string `json:"output,omitempty"`
	ID           int    `json:"requestId"`
	WasCancelled bool   `json:"wasCancelled,omitempty"`
}

// Run does a request. What it writes to talk is shown to the user; an error only says that it failed.
type Run func(ctx context.Context, r Request, talk io.Writer) error

// Serve reads requests until the stream ends, or the context, and runs each on its own goroutine. It returns when all are answered.
func Serve(ctx context.Context, in io.Reader, out io.Writer, run Run) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &server{run: run, out: json.NewEncoder(out), running: map[int]context.CancelFunc{}}
	requests, failed := make(chan Request), make(chan error, 1)
	go func() { failed <- read(ctx, in, requests) }() // it may stay until the process ends: a read can't be cancelled
	var err error
	for reading := true; reading; {
		select {
		case r := <-requests:
			s.take(ctx, r)
		case err = <-failed:
			reading = false
		case <-ctx.Done():
			err, reading = ctx.Err(), false
		}
	}
	if err != nil {
		cancel()
	}
	s.requests.Wait()
	return errors.Join(err, s.failure)
}

// read sends the requests of a stream until it ends.
func read(ctx context.Context, in io.Reader, to chan<- Request) error {
	for d := json.NewDecoder(in); ; {
		var r Request
		switch err := d.Decode(&r); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("worker: request: %w", err)
		}
		select {
		case to <- r:
		case <-ctx.Done():
			return nil
		}
	}
}

type server struct {
	run      Run
	requests sync.WaitGroup

	mu      sync.Mutex
	out     *json.Encoder
	failure error // of out
	running map[int]context.CancelFunc
}

func (s *server) take(ctx context.Context, r Request) {
	if r.Cancel {
		s.cancel(r.ID)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	s.running[r.ID] = cancel
	s.mu.Unlock()
	s.requests.Go(func() {
		var talk bytes.Buffer
		err := s.run(ctx, r, &talk)
		answer := response{ID: r.ID, Output: talk.String()}
		switch {
		case ctx.Err() != nil:
			answer.WasCancelled = true
		case err != nil:
			answer.ExitCode = 1
		}
		cancel()
		s.answer(answer)
	})
}

// cancel ends a request. It may have been answered already: Bazel knows that the two can cross.
func (s *server) cancel(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel, ok := s.running[id]; ok {
		cancel()
	}
}

func (s *server) answer(r response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, r.ID)
	if err := s.out.Encode(r); err != nil {
		s.failure = errors.Join(s.failure, fmt.Errorf("worker: response: %w", err))
	}
}
