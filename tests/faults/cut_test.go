package faults_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/cas"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// positions are in how many places each transfer is cut.
const positions = 12

// quick tries as often as the programs do, but gRPC connects again only after a second.
var (
	quick     = blob.Retry{Wait: time.Millisecond}
	quickGRPC = blob.Retry{Wait: 300 * time.Millisecond, MaxWait: time.Second}
)

// transfer moves something through the proxy. whole finds what is half-written, and with done also what is missing.
type transfer struct {
	run   func(ctx context.Context) error
	whole func(t *testing.T, done bool)
}

// TestConnectionsAreCut cuts each kind of transfer in many places. Cut once, it goes on; cut ever again, it says who is not to be reached, and
// leaves nothing half-written.
func TestConnectionsAreCut(t *testing.T) {
	for name, begin := range map[string]func(t *testing.T) (*bazeltest.Proxy, func(t *testing.T) transfer){
		"a pull": cutPull, "a push": cutPush, "a read from a cache by gRPC": cutRead(true), "a read from a cache by HTTP": cutRead(false),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy, next := begin(t)
			proxy.Down()
			proxy.Up()
			w := next(t)
			bazeltest.Must(t, w.run(t.Context()))
			w.whole(t, true)
			for up, size := range map[bool]int64{false: proxy.Down(), true: proxy.Up()} {
				for i := range int64(positions) {
					n := size * i / positions
					for _, ever := range []bool{false, true} {
						if ever && i%6 != 1 {
							continue
						}
						w := next(t)
						proxy.CutAfter(n, up, ever)
						err := w.run(t.Context())
						w.whole(t, err == nil)
						if err != nil && !ever || err != nil && !strings.Contains(err.Error(), proxy.Address) {
							t.Errorf("cut after %d of %d bytes (up: %v, ever again: %v): %v", n, size, up, ever, err)
						}
					}
				}
			}
		})
	}
}

func repository(t *testing.T, host, name string) *remote.Repository {
	t.Helper()
	transport := remote.NewTransport(4)
	t.Cleanup(transport.CloseIdleConnections)
	r, err := remote.New(remote.Options{Transport: transport}).Repository(oci.Reference{Registry: host, Repository: name})
	bazeltest.Must(t, err)
	return r
}

func cutPull(t *testing.T) (*bazeltest.Proxy, func(*testing.T) transfer) {
	host, folder := serve(t, t.TempDir()), t.TempDir()
	push, root := planned(t, folder, host, 300_000, 100_000, 1000)
	mustRun(t, push())
	proxy, all := bazeltest.StartProxy(t, host), len(blobs(t, folder))
	return proxy, func(t *testing.T) transfer {
		out := t.TempDir()
		from := blob.Verify(proxy.Address, quick.Source(repository(t, proxy.Address, "app")))
		return transfer{func(ctx context.Context) error {
			_, err := blob.Copy(ctx, dir.Store{Root: out, Volatile: true}, from, blob.CopyOptions{}, root)
			return err
		}, func(t *testing.T, done bool) {
			wantWholeBlobs(t, out)
			if n := len(blobs(t, out)); done && n != all {
				t.Errorf("%d of %d blobs came", n, all)
			}
			if left, _ := filepath.Glob(filepath.Join(out, "blobs", "sha256", ".*")); len(left) > 0 {
				t.Errorf("%s are left", left)
			}
		}}
	}
}

func cutPush(t *testing.T) (*bazeltest.Proxy, func(*testing.T) transfer) {
	host, folder := serve(t, t.TempDir()), t.TempDir()
	proxy := bazeltest.StartProxy(t, host)
	root := blobtest.Image(t, dir.Store{Root: folder, Volatile: true}, linux, blobtest.Bytes("large", 3<<20), blobtest.Bytes("small", 1000))
	n := 0
	return proxy, func(t *testing.T) transfer {
		n++
		name := fmt.Sprint("app", n)
		to := quick.Sink(repository(t, proxy.Address, name))
		return transfer{func(ctx context.Context) error {
			if _, err := blob.Copy(ctx, to, dir.Store{Root: folder}, blob.CopyOptions{}, root); err != nil {
				return err
			}
			return to.(blob.Tagger).Tag(ctx, root, "latest")
		}, func(t *testing.T, done bool) {
			for _, reference := range []string{"latest", string(root.Digest)} {
				if _, err := pullWhole(t.Context(), host, name, reference); err != nil && (done || !errors.Is(err, blob.ErrNotFound)) {
					t.Errorf("%s: %v", reference, err)
				}
			}
		}}
	}
}

func cutRead(grpc bool) func(*testing.T) (*bazeltest.Proxy, func(*testing.T) transfer) {
	return func(t *testing.T) (*bazeltest.Proxy, func(*testing.T) transfer) {
		cache := bazeltest.StartCache(t)
		body := blobtest.Bytes("body", 300_000)
		d := blobtest.Describe(body)
		request, err := http.NewRequest(http.MethodPut, cache.HTTP+"/cas/"+d.Digest.Encoded(), bytes.NewReader(body))
		bazeltest.Must(t, err)
		answer, err := http.DefaultClient.Do(request)
		bazeltest.Must(t, err)
		answer.Body.Close()
		scheme, endpoint, retry := "http://", cache.HTTP, quick
		if grpc {
			scheme, endpoint, retry = "grpc://", cache.GRPC, quickGRPC
		}
		proxy := bazeltest.StartProxy(t, endpoint)
		return proxy, func(t *testing.T) transfer {
			c, err := cas.Open(scheme+proxy.Address, cas.Options{})
			bazeltest.Must(t, err)
			t.Cleanup(func() { c.Close() })
			out := t.TempDir()
			return transfer{func(ctx context.Context) error {
				return dir.Store{Root: out, Volatile: true}.Put(ctx, d, retry.Source(c))
			}, func(t *testing.T, done bool) {
				wantWholeBlobs(t, out)
				if n := len(blobs(t, out)); done && n != 1 {
					t.Error("the blob is not there")
				}
			}}
		}
	}
}
