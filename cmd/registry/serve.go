package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/registry"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

// sweepEvery is how often the store is swept.
const sweepEvery = 10 * time.Minute

// run serves until ctx ends. The first line on stdout is the address, once somebody may connect.
func run(ctx context.Context, p process) error {
	o, err := parseFlags(p)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(p.Stderr, &slog.HandlerOptions{Level: o.level()}))
	s, err := store.Open(o.dir, store.Limits{BlobSize: int64(o.maxBlob), Uploads: o.maxUploads, UploadAge: o.uploadAge})
	if err != nil {
		return err
	}
	server, err := o.server(s, log)
	if err != nil {
		return err
	}
	listener, err := o.Listen()
	if err != nil {
		return err
	}
	fmt.Fprintln(p.Stdout, listener.Addr())
	return o.serve(ctx, server, listener, s, log)
}

func (o options) server(s *store.Store, log *slog.Logger) (*http.Server, error) {
	handler, err := o.handler(registry.Options{Store: s, ManifestSize: int64(o.maxManifest), Stall: o.stall, Log: log})
	if err != nil {
		return nil, err
	}
	secure, err := o.TLS()
	if err != nil {
		return nil, err
	}
	return &http.Server{
		Handler:           handler,
		TLSConfig:         secure,
		ReadHeaderTimeout: min(o.stall, 10*time.Second),
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}, nil
}

func (o options) level() slog.Level {
	if o.quiet {
		return slog.LevelError
	}
	return slog.LevelInfo
}

func (o options) serve(ctx context.Context, server *http.Server, listener net.Listener, s *store.Store, log *slog.Logger) error {
	all, ctx := errgroup.WithContext(ctx)
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
	all.Go(func() error { return o.stop(ctx, server, log) })
	all.Go(func() error { sweep(ctx, s, log); return nil })
	return all.Wait()
}

// stop waits for ctx to end, then for the requests that are being answered, and then cuts those that are left: an upload that is
// cut can be continued.
func (o options) stop(ctx context.Context, server *http.Server, log *slog.Logger) error {
	<-ctx.Done()
	log.Info("stopping")
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.grace)
	defer cancel()
	if server.Shutdown(grace) == nil {
		return nil
	}
	return server.Close()
}

// sweep keeps the store clean, at once and then now and then.
func sweep(ctx context.Context, s *store.Store, log *slog.Logger) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		if err := s.Sweep(time.Now()); err != nil {
			log.Error("sweep", "error", err)
		}
		if removed, err := s.Collect(ctx, time.Now()); err != nil && ctx.Err() == nil {
			log.Error("collect", "error", err)
		} else if removed.Blobs > 0 {
			log.Info("collect", "blobs", removed.Blobs, "bytes", removed.Bytes)
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}
