package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// untilSignal returns a context that the first interrupt or request to terminate ends. A second one ends the program at once.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	came := make(chan os.Signal, 1)
	signal.Notify(came, os.Interrupt, syscall.SIGTERM)
	go func() {
		s := <-came
		signal.Stop(came)
		cancel(signalError{s})
	}()
	return ctx
}

// signalError is why a context ended.
type signalError struct{ os.Signal }

func (e signalError) Error() string { return "ended by the signal " + e.String() }

// Is makes it the cancellation that it is.
func (signalError) Is(target error) bool { return target == context.Canceled }

// exitStatus is that of a run that failed: 1, or, as shells have it, 128 and the number of the signal that ended it.
func exitStatus(ctx context.Context) int {
	var ended signalError
	if errors.As(context.Cause(ctx), &ended) {
		if number, ok := ended.Signal.(syscall.Signal); ok {
			return 128 + int(number)
		}
	}
	return 1
}
