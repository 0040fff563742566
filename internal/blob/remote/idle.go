package remote

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// idle ends a request that stands still: the other side takes nothing of what is sent, or sends nothing of its answer. The time that
// who reads the answer, or the source of what is sent, takes does not count. The time before the first byte of the answer has
// [answerWithin] as its limit.
type idle struct {
	wait   time.Duration
	timer  *time.Timer
	ended  atomic.Bool
	cancel context.CancelFunc
}

// newIdle returns the context for the request too.
func newIdle(ctx context.Context, wait time.Duration) (context.Context, *idle) {
	ctx, cancel := context.WithCancel(ctx)
	i := &idle{wait: wait, cancel: cancel}
	i.timer = time.AfterFunc(wait, func() {
		i.ended.Store(true)
		cancel()
	})
	i.timer.Stop()
	return ctx, i
}

// their says that it is the other side's turn.
func (i *idle) their() { i.timer.Reset(i.wait) }

// ours says that it is not.
func (i *idle) ours() { i.timer.Stop() }

// answer says that all is sent: what the other side has not taken yet, and the wait for its answer, may take their time.
func (i *idle) answer() { i.timer.Reset(i.wait + answerWithin) }

// cause says of an error that standing still led to it.
func (i *idle) cause(err error) error {
	if err == nil || err == io.EOF || !i.ended.Load() {
		return err
	}
	return fmt.Errorf("stands still: no byte for %v: %w", i.wait, os.ErrDeadlineExceeded)
}

// close is for when the request is over.
func (i *idle) close() {
	i.timer.Stop()
	i.cancel()
}

// idleBody is the body of an answer.
type idleBody struct {
	io.ReadCloser
	idle *idle
}

func (b *idleBody) Read(p []byte) (int, error) {
	b.idle.their()
	n, err := b.ReadCloser.Read(p)
	b.idle.ours()
	return n, b.idle.cause(err)
}

func (b *idleBody) Close() error {
	defer b.idle.close()
	return b.ReadCloser.Close()
}
