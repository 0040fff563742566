package blob

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Retry does again what failed for a reason that may pass: see [IsTransient]. You want it around everything behind a
// network, inside [Verify], [Fallback] and [Counter]. The zero value tries five times within some four seconds.
type Retry struct {
	// Attempts is how often an operation is tried in all; 0 is 5. A store that has too much to do is asked twice as often.
	Attempts int
	// Wait is the first pause, which then doubles; 0 is 250 ms. Up to half of each pause is left out at random, so that
	// many clients do not come back together.
	Wait time.Duration
	// MaxWait bounds one pause; 0 is a minute. A store that asks for a longer one is not waited for.
	MaxWait time.Duration
	// Pausing, if set, is told of each pause: how long it is, and the error it follows. What it returns is called when it is over.
	Pausing func(wait time.Duration, why error) (over func())
}

// IsTransient reports whether the operation that returned err may succeed when tried again. An error decides for itself
// with a method Transient() bool; of the others, broken connections and timeouts are transient. An error with a
// method RetryAfter() time.Duration says how long to wait at least; one with a method Busy() bool, that the store takes what others want meanwhile;
// one with a method Progressed() bool, that the attempt got further than those before, so that it is not counted.
func IsTransient(err error) bool {
	var decided interface{ Transient() bool }
	switch {
	case err == nil || errors.Is(err, context.Canceled) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrMismatch):
		return false
	case errors.As(err, &decided):
		return decided.Transient()
	}
	return errors.Is(err, io.ErrUnexpectedEOF) || isNetworkTrouble(err)
}

func isNetworkTrouble(err error) bool {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.IsTemporary || dns.IsTimeout
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return slices.Contains([]string{"dial", "read", "write", "readfrom"}, op.Op) // "remote error" is TLS saying no
	}
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// Do runs op until it succeeds, fails for good, or was tried often enough.
func (r Retry) Do(ctx context.Context, op func() error) error {
	for attempt := 1; ; attempt++ {
		err := op()
		if !IsTransient(err) || ctx.Err() != nil {
			return err
		}
		var got interface{ Progressed() bool }
		if errors.As(err, &got) && got.Progressed() {
			attempt = 1
		}
		most := r.attempts()
		var store interface{ Busy() bool }
		if errors.As(err, &store) && store.Busy() {
			most *= 2
		}
		if attempt >= most {
			return fmt.Errorf("%w (tried %d times)", err, attempt)
		}
		if err := r.pause(ctx, attempt, err); err != nil {
			return err
		}
	}
}

func (r Retry) attempts() int { return cmp.Or(r.Attempts, 5) }

// pause waits before the attempt after the given one, or returns why there won't be any.
func (r Retry) pause(ctx context.Context, attempt int, err error) error {
	longest := cmp.Or(r.MaxWait, time.Minute)
	wait := longest
	if attempt < 20 { // beyond that, doubling would overflow
		wait = min(longest, cmp.Or(r.Wait, 250*time.Millisecond)<<(attempt-1))
	}
	wait -= rand.N(wait/2 + 1)
	var asked interface{ RetryAfter() time.Duration }
	if errors.As(err, &asked) && asked.RetryAfter() > wait {
		wait = asked.RetryAfter()
	}
	if wait > longest {
		return fmt.Errorf("%w (asks to wait for %v, and %v is the most that is waited)", err, wait, longest)
	}
	if r.Pausing != nil {
		defer r.Pausing(wait, err)()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), err)
	}
}

// Source retries opening, and a read that breaks off is resumed where it broke if s is a [RangeOpener].
func (r Retry) Source(s Source) Source { return retrySource{r, s} }

type retrySource struct {
	retry  Retry
	source Source
}

func (s retrySource) Path(d oci.Descriptor) (string, bool) { return path(s.source, d) }

func (s retrySource) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return s.open(ctx, d, 0, func() (io.ReadCloser, error) { return s.source.Open(ctx, d) })
}

func (s retrySource) OpenRange(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	return s.open(ctx, d, offset, func() (io.ReadCloser, error) { return openRange(ctx, s.source, d, offset) })
}

func (s retrySource) Resolve(ctx context.Context, reference string) (d oci.Descriptor, err error) {
	err = s.retry.Do(ctx, func() error { d, err = resolve(ctx, s.source, reference); return err })
	return d, err
}

func (s retrySource) open(ctx context.Context, d oci.Descriptor, offset int64, first func() (io.ReadCloser, error)) (io.ReadCloser, error) {
	r := &resumer{offset: offset, attempts: s.retry.attempts()}
	r.resume = func(broken error) error {
		return s.retry.Do(ctx, func() (err error) {
			again, err := openRange(ctx, s.source, d, r.offset)
			if errors.Is(err, errors.ErrUnsupported) {
				return broken
			}
			if err == nil {
				r.ReadCloser = again
			}
			return err
		})
	}
	err := s.retry.Do(ctx, func() (err error) { r.ReadCloser, err = first(); return err })
	if err != nil {
		return nil, err
	}
	return r, nil
}

// resumer is a reader that starts again where it broke. It gives up a store that breaks, attempt after attempt, without
// having delivered a byte.
type resumer struct {
	io.ReadCloser
	offset   int64
	resume   func(broken error) error
	attempts int
	broken   int
}

func (r *resumer) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.offset += int64(n)
	if n > 0 {
		r.broken = 0
	}
	if !IsTransient(err) {
		return n, err
	}
	if r.broken++; r.broken >= r.attempts {
		return n, err
	}
	r.ReadCloser.Close()
	return n, r.resume(err)
}

// Sink retries each method of s as a whole. Put pulls the bytes again.
func (r Retry) Sink(s Sink) Sink { return retrySink{r, s} }

type retrySink struct {
	retry Retry
	sink  Sink
}

func (s retrySink) Missing(ctx context.Context, ds ...oci.Descriptor) (missing []oci.Descriptor, err error) {
	err = s.retry.Do(ctx, func() error { missing, err = s.sink.Missing(ctx, ds...); return err })
	return missing, err
}

func (s retrySink) Put(ctx context.Context, d oci.Descriptor, src Source) error {
	return s.retry.Do(ctx, func() error { return s.sink.Put(ctx, d, src) })
}

func (s retrySink) Tag(ctx context.Context, d oci.Descriptor, name string) error {
	return s.retry.Do(ctx, func() error { return tag(ctx, s.sink, d, name) })
}
