package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/bazel-contrib/rules_img/internal/registry"
	"github.com/bazel-contrib/rules_img/internal/registry/auth"
	"github.com/bazel-contrib/rules_img/internal/registry/commit"
	"github.com/bazel-contrib/rules_img/internal/registry/metrics"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

// sweepEvery is how often the store is swept of what dead processes and clients left, at least.
const sweepEvery = 10 * time.Minute

// run serves until ctx ends. The first line on stdout is the address, once somebody may connect; further ones are those of other services.
func run(ctx context.Context, p process) error {
	o, err := parseFlags(p)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	s := &servers{options: o, log: slog.New(slog.NewTextHandler(p.Stderr, &slog.HandlerOptions{Level: o.level()}))}
	if err := s.open(ctx, p); err != nil {
		return err
	}
	addresses, err := s.listen()
	if err != nil {
		return err
	}
	fmt.Fprint(p.Stdout, addresses)
	return s.serve(ctx)
}

// servers are what this process serves.
type servers struct {
	options
	log      *slog.Logger
	store    *store.Store
	counters metrics.Counters
	registry *http.Server
	commits  *grpc.Server // nil if there is none

	listeners struct{ registry, commits, metrics net.Listener }
}

func (s *servers) open(ctx context.Context, p process) (err error) {
	places, err := s.stores.places(ctx, p, s.log)
	if err != nil {
		return err
	}
	limits := store.Limits{BlobSize: int64(s.maxBlob), Uploads: s.maxUploads, UploadAge: s.uploadAge, Grace: s.collectGrace}
	if s.store, err = store.Open(s.dir, limits, places...); err != nil {
		return err
	}
	s.store.Asked = func(place string, found bool) {
		s.counters.Add("registry_store_asked_total", 1, "store", place, "found", strconv.FormatBool(found))
	}
	gate, err := s.gate()
	if err != nil {
		return err
	}
	secure, err := s.TLS()
	if err != nil {
		return err
	}
	s.registry = s.httpServer(guarded(registry.Options{
		Store: s.store, ManifestSize: int64(s.maxManifest), Stall: s.stall, Log: s.log, Answered: s.count,
	}, gate))
	s.registry.TLSConfig = secure
	if s.blobCache {
		s.commits = commit.New(s.commitOptions(gate, secure))
	}
	return nil
}

func (s *servers) commitOptions(gate *auth.Gate, secure *tls.Config) commit.Options {
	o := commit.Options{Store: s.store, TLS: secure, Stall: s.stall, Log: s.log, Count: func(present, missing int) {
		s.counters.Add("registry_commit_blobs_total", float64(present), "found", "true")
		s.counters.Add("registry_commit_blobs_total", float64(missing), "found", "false")
	}}
	if gate != nil { // a nil pointer in an interface is not nil
		o.Gate = gate
	}
	return o
}

func (s *servers) count(method string, status int, written int64, took time.Duration) {
	s.counters.Add("registry_requests_total", 1, "method", method, "status", strconv.Itoa(status))
	s.counters.Add("registry_request_seconds_total", took.Seconds(), "method", method)
	s.counters.Add("registry_response_bytes_total", float64(written))
}

func (s *servers) httpServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: min(s.stall, 10*time.Second),
		IdleTimeout:       2 * s.stall, // also of HTTP/2, where half a frame is no request
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

func (o options) level() slog.Level {
	if o.quiet {
		return slog.LevelError
	}
	return slog.LevelInfo
}

// listen opens all ports, and returns their addresses, one a line.
func (s *servers) listen() (addresses string, err error) {
	if s.listeners.registry, err = s.Listen(); err != nil {
		return "", err
	}
	addresses = fmt.Sprintln(s.listeners.registry.Addr())
	if s.commits != nil {
		if s.listeners.commits, err = s.ListenOn(s.grpcPort); err != nil {
			return "", fmt.Errorf("--grpc-port: %w", err)
		}
		addresses += fmt.Sprintln("blobcache", s.listeners.commits.Addr())
	}
	if s.listeners.metrics, err = s.metrics.Listen(); err != nil {
		return "", err
	}
	if s.listeners.metrics != nil {
		addresses += fmt.Sprintln("metrics", s.listeners.metrics.Addr())
	}
	return addresses, nil
}

func (s *servers) serve(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	s.serveHTTP(ctx, all, s.registry, s.listeners.registry)
	if l := s.listeners.metrics; l != nil {
		counters := s.httpServer(&s.counters)
		counters.ReadTimeout, counters.WriteTimeout = s.stall, s.stall
		s.serveHTTP(ctx, all, counters, l)
	}
	if s.commits != nil {
		all.Go(s.serveCommits)
		all.Go(func() error { s.stopCommits(ctx); return nil })
	}
	context.AfterFunc(ctx, func() { s.log.Info("stopping") })
	all.Go(func() error { every(ctx, s.sweepInterval(), s.sweep); return nil })
	all.Go(func() error { every(ctx, s.collectInterval, s.collect); return nil })
	return all.Wait()
}

func (s *servers) serveHTTP(ctx context.Context, all *errgroup.Group, server *http.Server, listener net.Listener) {
	all.Go(func() error {
		serve := server.Serve
		if server.TLSConfig != nil {
			serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
		}
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	all.Go(func() error { return s.stop(ctx, server) })
}

// stop waits for ctx to end, then for the requests that are being answered, and then cuts those that are left: an upload that is
// cut can be continued.
func (s *servers) stop(ctx context.Context, server *http.Server) error {
	<-ctx.Done()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
	defer cancel()
	if server.Shutdown(grace) == nil {
		return nil
	}
	return server.Close()
}

func (s *servers) serveCommits() error {
	if err := s.commits.Serve(s.listeners.commits); !errors.Is(err, grpc.ErrServerStopped) { // which it is when it is stopped before it begins
		return err
	}
	return nil
}

func (s *servers) stopCommits(ctx context.Context) {
	<-ctx.Done()
	cut := time.AfterFunc(s.grace, s.commits.Stop)
	defer cut.Stop()
	s.commits.GracefulStop()
}

// every does something at once, and then now and then.
func every(ctx context.Context, interval time.Duration, do func(context.Context)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		do(ctx)
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// sweepInterval is shorter where uploads are to be forgotten sooner.
func (s *servers) sweepInterval() time.Duration {
	if s.uploadAge > 0 {
		return min(sweepEvery, max(s.uploadAge/4, time.Second))
	}
	return sweepEvery
}

func (s *servers) sweep(context.Context) {
	if err := s.store.Sweep(time.Now()); err != nil {
		s.log.Error("sweep", "error", err)
	}
}

func (s *servers) collect(ctx context.Context) {
	removed, err := s.store.Collect(ctx, time.Now())
	if err != nil && ctx.Err() == nil {
		s.log.Error("collect", "error", err)
	}
	if removed.Blobs > 0 {
		s.log.Info("collect", "blobs", removed.Blobs, "bytes", removed.Bytes)
	}
	s.counters.Add("registry_collected_blobs_total", float64(removed.Blobs))
	s.counters.Add("registry_collected_bytes_total", float64(removed.Bytes))
}
