package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bazel-contrib/rules_img/cmd/internal/wiring"
	"github.com/bazel-contrib/rules_img/internal/blob"
)

// onlyThereError is for a file that is on the machine that runs Bazel, and nowhere else.
type onlyThereError struct{ path string }

func (e *onlyThereError) Error() string { return e.path + " is only on the machine that ran Bazel" }

// Hint says what a person can do.
func (e *onlyThereError) Hint() string {
	return "build with --remote_cache and without --noremote_upload_local_results, so that what the build makes is where this server can read it"
}

// lackingError is for what the cache does not give.
type lackingError struct{ error }

func (e *lackingError) Unwrap() error { return e.error }

// Hint says what a person can do.
func (e *lackingError) Hint() string {
	if !errors.Is(e.error, blob.ErrNotFound) {
		return ""
	}
	return "was it uploaded, and to the cache that this server reads? Builds upload what they make unless they have --noremote_upload_local_results, and --remote_build_event_upload=all uploads source files too; " +
		"what Bazel did not upload when it was made, or the cache has dropped, is made again after bazel clean"
}

// withHints is an error that says its hints itself, for those who only get the text.
func withHints(err error) error {
	hints := wiring.Hints(err)
	if err == nil || len(hints) == 0 {
		return err
	}
	return fmt.Errorf("%w (hint: %s)", err, strings.Join(hints, "; "))
}
