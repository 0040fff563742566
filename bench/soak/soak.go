package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/bazel-contrib/rules_img/bench/scene"
)

// options are what the command line says.
type options struct {
	root    string // of this repository
	time    time.Duration
	shares  []time.Duration // of the time, between pauses
	rate    float64
	clients int
	grace   time.Duration
}

// soak runs servers, the load and its pauses. The directory of the servers stays when something is wrong, for somebody to look at.
func soak(ctx context.Context, o options) (*report, error) {
	ctx, stop := scene.WithServers(ctx)
	defer stop()
	dir, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return nil, err
	}
	w, err := newWorld(ctx, o, dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	defer w.close()
	if err := w.fill(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	r := &report{options: o, servers: w.servers}
	for _, share := range o.shares {
		end := watch(ctx, r)
		w.load(ctx, o.time*share/sum(o.shares))
		end()
		if err := w.rest(ctx, r); err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
	}
	r.done, r.errs = w.done, w.errs
	if err := r.verdict(); err != nil {
		return r, nil
	}
	stop() // or they write there meanwhile
	return r, os.RemoveAll(dir)
}

func sum(shares []time.Duration) (all time.Duration) {
	for _, s := range shares {
		all += s
	}
	return all
}

// watch samples the servers until stop is called.
func watch(ctx context.Context, r *report) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(max(r.time/400, 250*time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				r.sample()
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// rest waits until the servers keep nothing that nobody needs, or have had the time for it, and looks at them.
func (w *world) rest(ctx context.Context, r *report) error {
	w.transport.CloseIdleConnections()
	for late := time.Now().Add(4*w.grace + 20*time.Second); time.Now().Before(late); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(w.grace / 8):
		}
		left := int64(0)
		for _, s := range w.servers {
			used, err := s.disk()
			if err != nil {
				return err
			}
			left += used.beyond
		}
		if left == 0 {
			break
		}
	}
	return r.pause()
}
