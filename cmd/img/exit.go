package main

import (
	"context"
	"errors"
	"fmt"
)

// answer is the exit status of a verb that has said on stdout what there is to say.
type answer int

func (a answer) Error() string { return fmt.Sprintf("exit status %d", int(a)) }

// trouble is an error of a verb whose status 1 is an answer.
type trouble struct{ error }

func (t trouble) Unwrap() error { return t.error }

// statusOf is what the program ends with after an error.
func statusOf(ctx context.Context, err error) int {
	var a answer
	switch {
	case ctx.Err() == nil && errors.As(err, &a):
		return int(a)
	case ctx.Err() == nil && errors.As(err, new(trouble)):
		return 2
	}
	return exitStatus(ctx)
}
