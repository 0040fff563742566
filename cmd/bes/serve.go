package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	buildpb "google.golang.org/genproto/googleapis/devtools/build/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/bazel-contrib/rules_img/internal/bes"
	"github.com/bazel-contrib/rules_img/internal/registry/metrics"
)

// sweepEvery is how often streams are looked for that are of no use any more, at least.
const sweepEvery = 10 * time.Minute

// serve serves until ctx ends. The first line on stdout is the address, once somebody may connect; a second one is that of the metrics.
func serve(ctx context.Context, p process) error {
	o, err := parseFlags(p)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(p.Stderr, &slog.HandlerOptions{Level: o.level()}))
	pusher, err := newPusher(p, o)
	if err != nil {
		return err
	}
	defer pusher.close()
	unlock, err := lockState(o.state)
	if err != nil {
		return err
	}
	defer unlock()
	earlier, _, err := bes.ReadJobs(jobsIn(o.state))
	if err != nil {
		return err
	}
	pusher.tags.remember(earlier)
	counters := new(metrics.Counters)
	queue, err := bes.OpenQueue(bes.QueueOptions{
		Dir: jobsIn(o.state), Pusher: pusher, Jobs: o.jobs, Keep: o.keep, KeepFor: o.keepFor, Grace: o.grace, Log: log, Now: p.Now,
		Count: func(state string) { counters.Add("bes_plans_total", 1, "state", state) },
	})
	if err != nil {
		return err
	}
	service, err := bes.NewServer(bes.Options{
		Dir: filepath.Join(o.state, "streams"), Queue: queue, Wait: o.commitMode == perStream, StreamAge: o.streamAge, Log: log,
	})
	if err != nil {
		return err
	}
	server, err := o.server(service)
	if err != nil {
		return err
	}
	listener, err := o.Listen()
	if err != nil {
		return err
	}
	told, err := o.metrics.Listen()
	if err != nil {
		return err
	}
	addresses := fmt.Sprintln(listener.Addr())
	if told != nil {
		defer serveMetrics(told, counters, o.stall)()
		addresses += fmt.Sprintln("metrics", told.Addr())
	}
	fmt.Fprint(p.Stdout, addresses)
	return o.all(ctx, p, server, listener, queue, service)
}

// serveMetrics serves until the function that it returns is called.
func serveMetrics(l net.Listener, handler http.Handler, stall time.Duration) (stop func()) {
	server := &http.Server{Handler: handler, ReadTimeout: stall, WriteTimeout: stall, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	ended := make(chan struct{})
	go func() { defer close(ended); server.Serve(l) }()
	return func() { server.Close(); <-ended }
}

// jobsIn is where the jobs are in a state directory.
func jobsIn(state string) string { return filepath.Join(state, "jobs") }

func (o options) level() slog.Level {
	if o.quiet {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

func (o options) server(service *bes.Server) (*grpc.Server, error) {
	gate, err := o.Gate()
	if err != nil {
		return nil, err
	}
	secure, err := o.TLS()
	if err != nil {
		return nil, err
	}
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(o.maxMessage),
		grpc.MaxConcurrentStreams(1000),
		grpc.InTapHandle(admit(gate, service.Log)),
		grpc.MaxHeaderListSize(64 << 10),
		grpc.ConnectionTimeout(min(o.stall, 10*time.Second)), // for TLS and HTTP/2 to be agreed on
		// A build may be silent for long, and a load balancer between drops what is.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: o.stall, Timeout: min(o.stall, 20*time.Second), MaxConnectionIdle: 10 * o.stall}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
	if secure != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(secure)))
	}
	server := grpc.NewServer(options...)
	buildpb.RegisterPublishBuildEventServer(server, service)
	return server, nil
}

// all serves, pushes and sweeps until ctx ends, and then stops: builds and pushes may go on for a while, and those that have not ended then are
// taken up by the next process, for Bazel sends what was not acknowledged again.
func (o options) all(ctx context.Context, p process, server *grpc.Server, listener net.Listener, queue *bes.Queue, service *bes.Server) error {
	pushing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { queue.Run(pushing); return nil })
	all.Go(func() error { return sweep(ctx, p, service, min(sweepEvery, max(o.streamAge/4, time.Second))) })
	all.Go(func() error {
		defer stop()
		if err := server.Serve(listener); !errors.Is(err, grpc.ErrServerStopped) { // which it is when ctx ends at once
			return err
		}
		return nil
	})
	all.Go(func() error {
		<-ctx.Done()
		late := time.AfterFunc(o.grace, server.Stop)
		defer late.Stop()
		server.GracefulStop()
		return nil
	})
	return all.Wait()
}

func sweep(ctx context.Context, p process, service *bes.Server, interval time.Duration) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := service.Sweep(p.Now()); err != nil {
			service.Log.Error("sweep", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
