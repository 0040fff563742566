//go:build linux

package daemons_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// inFront serves on a socket what changes requests and answers on their way to another socket.
func inFront(t *testing.T, socket string, refuse func(*http.Request) bool, modify func(*http.Response) error) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "img-front-")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "docker" },
		Transport:      &http.Transport{DialContext: dial},
		ModifyResponse: modify,
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse != nil && refuse(r) {
			http.Error(w, `{"message":"not here"}`, http.StatusNotFound)
			return
		}
		proxy.ServeHTTP(w, r)
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close(); os.RemoveAll(dir) })
	return path
}

// TestDockerThatDoesNotSayWhatItHas has no BuildKit.
func TestDockerThatDoesNotSayWhatItHas(t *testing.T) {
	d := start(t, "docker-containerd", "forky")
	c := dialDocker(t, inFront(t, d.socket(), func(r *http.Request) bool { return r.URL.Path == "/grpc" }, nil))
	source := &mem.Store{}
	for _, message := range []string{"one", "two"} {
		done := load(t, c, daemon.Image{Root: app(t, source, "no buildkit", message), Source: source, Names: names(t, "no-buildkit")})
		if done.Report.Moved.Bytes < large || len(done.Notes) != 1 || !strings.Contains(done.Notes[0], "did not say what it has") {
			t.Errorf("moved %d bytes; notes are %q; want all of it, and why", done.Report.Moved.Bytes, done.Notes)
		}
	}
	if out := d.docker(t, "run", "--rm", "--network", "none", "no-buildkit"); out != "two" {
		t.Errorf("the image prints %q", out)
	}
}

// TestDockerThatLostALayer says of an image that it has layers which it has not, as if it was removed meanwhile.
func TestDockerThatLostALayer(t *testing.T) {
	d := start(t, "docker-overlay2", "forky")
	source := &mem.Store{}
	root := app(t, source, "lost", "lost")
	parts, err := daemon.Read(t.Context(), source, root)
	if err != nil {
		t.Fatal(err)
	}
	lie := func(r *http.Response) error {
		if !strings.HasPrefix(r.Request.URL.Path, "/images/sha256:") || r.StatusCode != http.StatusOK {
			return nil
		}
		r.Body.Close()
		b, err := json.Marshal(map[string]any{"Id": "sha256:0", "RootFS": map[string]any{"Layers": parts.DiffIDs[:2]}})
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
		r.Header.Del("Content-Length")
		return err
	}
	// There must be an image to lie about.
	load(t, dialDocker(t, d.socket()), daemon.Image{Root: app(t, source, "lost too", ""), Source: source, Names: names(t, "lost-too")})
	done := load(t, dialDocker(t, inFront(t, d.socket(), nil, lie)), daemon.Image{Root: root, Source: source, Names: names(t, "lost")})
	if len(done.Notes) != 1 || !strings.Contains(done.Notes[0], "sent all 3 layers") || done.Report.Moved.Bytes < large {
		t.Errorf("moved %d bytes; notes are %q; want all of it, and why", done.Report.Moved.Bytes, done.Notes)
	}
	if out := d.docker(t, "run", "--rm", "--network", "none", "lost"); out != "lost" {
		t.Errorf("the image prints %q", out)
	}
}

// TestLoadsEndWhenCancelled stops in the middle of a layer whose source then waits, and looks for what may not be there.
func TestLoadsEndWhenCancelled(t *testing.T) {
	source := &mem.Store{}
	root := app(t, source, "cancelled", "cancelled")
	for _, kind := range []string{"containerd", "docker-overlay2", "docker-containerd", "podman"} {
		t.Run(kind, func(t *testing.T) {
			d := start(t, kind, "forky")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stuck := blob.SourceFunc(func(ctx context.Context, b oci.Descriptor) (io.ReadCloser, error) {
				r, err := source.Open(ctx, b)
				if err != nil || b.Size < large {
					return r, err
				}
				wait := readerFunc(func([]byte) (int, error) { cancel(); <-ctx.Done(); return 0, ctx.Err() })
				return io.NopCloser(io.MultiReader(io.LimitReader(r, 100_000), wait)), nil
			})
			_, err := dial(t, d).Load(ctx, daemon.Image{Root: root, Source: stuck, Names: names(t, "cancelled")})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v; want it to wrap context.Canceled", err)
			}
			load(t, dial(t, d), daemon.Image{Root: root, Source: source, Names: names(t, "cancelled")}) // and it works the next time
		})
	}
}

// TestLoadsThatAreCut break at several places. What the daemon then has runs after the next load.
func TestLoadsThatAreCut(t *testing.T) {
	for _, kind := range []string{"containerd", "docker-overlay2", "docker-containerd", "podman"} {
		t.Run(kind, func(t *testing.T) {
			d, source := start(t, kind, "forky"), &mem.Store{}
			for i, cut := range []int64{1000, large / 2, large} {
				root := app(t, source, fmt.Sprint("cut ", i), "cut")
				p := newProxy(t, d.socket())
				p.cut = cut
				im := daemon.Image{Root: root, Source: source, Names: names(t, "cut")}
				through := dial(t, &process{kind: kind, front: p.path})
				if _, err := through.Load(t.Context(), im); err == nil || strings.Contains(err.Error(), "source") {
					t.Errorf("cut after %d bytes: error is %v", cut, err)
				}
				load(t, dial(t, d), im)
				if out := d.runImage(t, "cut"); out != "cut" {
					t.Errorf("cut after %d bytes: the image prints %q", cut, out)
				}
			}
		})
	}
}

// TestLoadsFailWithWhatTheSourceSays has a layer that no source has.
func TestLoadsFailWithWhatTheSourceSays(t *testing.T) {
	source := &mem.Store{}
	root := image(t, source, own, gzipped(t, file{"x", 0o644, blobtest.Bytes("absent", 1000)}))
	parts, err := daemon.Read(t.Context(), source, root)
	if err != nil {
		t.Fatal(err)
	}
	absent := blob.SourceFunc(func(ctx context.Context, b oci.Descriptor) (io.ReadCloser, error) {
		if b.Digest == parts.Layers[0].Digest {
			return nil, blob.ErrNotFound
		}
		return source.Open(ctx, b)
	})
	for _, kind := range []string{"containerd", "docker-overlay2", "docker-containerd", "podman"} {
		t.Run(kind, func(t *testing.T) {
			_, err := dial(t, start(t, kind, "forky")).Load(t.Context(), daemon.Image{Root: root, Source: absent, Names: names(t, "absent")})
			if !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("error is %v; want it to wrap ErrNotFound", err)
			}
		})
	}
}

// dial returns the adapter for a daemon.
func dial(t testing.TB, d *process) daemon.Daemon {
	t.Helper()
	switch d.kind {
	case "containerd":
		return dialContainerd(t, d.socket(), "default")
	case "podman":
		return podmanBySocket(d)
	}
	c := dialDocker(t, d.socket())
	c.OnlyAPI = true
	return c
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
