package remote_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
)

type fault = func(http.ResponseWriter, *http.Request) bool

// noMounts lets a registry begin an upload whenever it is asked to mount.
func noMounts(_ http.ResponseWriter, r *http.Request) bool {
	q := r.URL.Query()
	q.Del("mount")
	q.Del("from")
	r.URL.RawQuery = q.Encode()
	return false
}

func is(r *http.Request, method, part string) bool {
	return r.Method == method && strings.Contains(r.URL.Path, part)
}

// TestRegistriesAsTheyAre pushes through every fault that a registry may have for good.
func TestRegistriesAsTheyAre(t *testing.T) {
	for name, f := range map[string]fault{
		"refuses mounts": noMounts,
		"takes mounts amiss": func(w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Query().Has("mount") && refuse(w, 400, "UNSUPPORTED", "no mounts here")
		},
		"breaks at mounts": func(w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Query().Has("mount") && refuse(w, 500, "UNKNOWN", "oops")
		},
		"answers 404 to HEAD": func(w http.ResponseWriter, r *http.Request) bool {
			return r.Method == "HEAD" && refuse(w, 404, "UNSUPPORTED", "")
		},
		"answers 405 to HEAD": func(w http.ResponseWriter, r *http.Request) bool {
			return r.Method == "HEAD" && refuse(w, 405, "UNSUPPORTED", "")
		},
		"wants chunks of a length": func(w http.ResponseWriter, r *http.Request) bool {
			if is(r, "POST", "/uploads/") {
				w.Header().Set("OCI-Chunk-Min-Length", "10000000")
			}
			return r.Method == "PATCH" && refuse(w, 416, "SIZE_INVALID", "chunk too short")
		},
	} {
		t.Run(name, func(t *testing.T) {
			proxy, address := remotetest.NewProxy(t, remotetest.Distribution(t), f)
			var src mem.Store
			shared := layers(name, 3, 200_000)
			one := blobtest.Image(t, &src, linux, append(shared, []byte("one"))...)
			two := blobtest.Image(t, &src, linux, append(shared, []byte("two"))...)
			client := remote.New(remote.Options{})
			push(t, client, address, "one", &src, one)
			push(t, client, address, "two", &src, one)
			push(t, client, address, "two", &src, two)
			wantWhole(t, address, "one", one)
			wantWhole(t, address, "two", two)
			proxy.Reset()
			push(t, remote.New(remote.Options{}), address, "one", &src, one)
			if _, sent := proxy.Reset(); sent > 5_000 {
				t.Logf("the second push sent %d bytes", sent)
			}
		})
	}
}

// TestARegistryWithoutMountsIsAskedByHEAD: what a first large blob shows saves sending the others.
func TestARegistryWithoutMountsIsAskedByHEAD(t *testing.T) {
	proxy, address := remotetest.NewProxy(t, remotetest.Distribution(t), noMounts)
	var src mem.Store
	base := append(layers("large", 1, 64<<20), layers("small", 4, 100_000)...)
	push(t, remote.New(remote.Options{}), address, "app", &src, blobtest.Image(t, &src, linux, base...))
	proxy.Reset()
	changed := blobtest.Image(t, &src, linux, append(base, []byte("changed"))...)
	push(t, remote.New(remote.Options{}), address, "app", &src, changed)
	if _, sent := proxy.Reset(); sent > 500_000 {
		t.Errorf("sent %d bytes for what changed", sent)
	}
}

// TestUploadsMayGoElsewhere: to another host by the answer to POST, or by a redirect, and never with the credentials.
func TestUploadsMayGoElsewhere(t *testing.T) {
	registry := remotetest.Distribution(t)
	var leaked atomic.Bool
	_, elsewhere := remotetest.NewProxy(t, registry, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "" {
			leaked.Store(true)
		}
		return false
	})
	there := func(r *http.Request) string { return "http://" + elsewhere + r.URL.RequestURI() }
	for name, f := range map[string]fault{
		"by Location": func(w http.ResponseWriter, r *http.Request) bool {
			if is(r, "POST", "/uploads/") {
				r.Host = elsewhere // which the registry names in its answer
			}
			return false
		},
		"by a redirect": func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == "PUT" && strings.Contains(r.URL.Path, "/uploads/") {
				http.Redirect(w, r, there(r), http.StatusTemporaryRedirect)
				return true
			}
			return false
		},
		"from the beginning": func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, "/v2/app/blobs/") {
				http.Redirect(w, r, there(r), http.StatusPermanentRedirect)
				return true
			}
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, address := remotetest.NewProxy(t, registry, demandingPassword(f))
			var src mem.Store
			root := blobtest.Image(t, &src, linux, layers(name, 3, 8<<20)...)
			client := remote.New(remote.Options{Keychain: password})
			if _, err := blob.Copy(t.Context(), quick.Sink(open(t, client, address, "app")), &src, blob.CopyOptions{}, root); err != nil {
				t.Fatal(err)
			}
			wantWhole(t, registry, "app", root)
			if leaked.Load() {
				t.Error("the credentials went to another host")
			}
		})
	}
}

func TestAFullRegistryIsGivenTime(t *testing.T) {
	for name, status := range map[string]int{"429": 429, "503": 503} {
		t.Run(name, func(t *testing.T) {
			var refused atomic.Int64
			var first atomic.Int64
			_, address := remotetest.NewProxy(t, remotetest.Olareg(t), func(w http.ResponseWriter, r *http.Request) bool {
				if refused.Add(1) > 3 {
					return false
				}
				first.CompareAndSwap(0, time.Now().UnixMilli())
				w.Header().Set("Retry-After", "1")
				return refuse(w, status, "TOOMANYREQUESTS", "slow down")
			})
			var src mem.Store
			root := blobtest.Image(t, &src, linux, layers("busy", 4, 1000)...)
			push(t, remote.New(remote.Options{}), address, "app", &src, root)
			if waited := time.Now().UnixMilli() - first.Load(); waited < 900 {
				t.Errorf("waited for %d ms of the second that the registry asked for", waited)
			}
			wantWhole(t, address, "app", root)
		})
	}
}

// closeAfter ends the connection of the first uploads after n bytes have gone through to the registry.
func closeAfter(times, n int64) fault {
	var broken atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == "PUT" && strings.Contains(r.URL.Path, "/uploads/") && r.ContentLength > n && broken.Add(1) <= times {
			r.Body = &breaking{r.Body, n}
		}
		return false
	}
}

type breaking struct {
	io.ReadCloser
	left int64
}

func (b *breaking) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("cut by the test")
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func TestAnUploadThatBreaksOffGoesOn(t *testing.T) {
	for name, start := range startRegistries {
		t.Run(name, func(t *testing.T) {
			proxy, address := remotetest.NewProxy(t, start(t), closeAfter(2, 20<<20))
			var src mem.Store
			layer := blobtest.Bytes("large", 64<<20)
			root := blobtest.Image(t, &src, linux, layer)
			to := blob.Retry{Wait: 100 * time.Millisecond}.Sink(open(t, remote.New(remote.Options{}), address, "app"))
			if _, err := blob.Copy(t.Context(), to, &src, blob.CopyOptions{}, root); err != nil {
				t.Fatal(err)
			}
			_, sent := proxy.Reset()
			t.Logf("sent %d MB for %d MB in three parts", sent>>20, len(layer)>>20)
			if sent > int64(len(layer))+8<<20 {
				t.Errorf("sent %d bytes for a blob of %d: it was begun anew", sent, len(layer))
			}
			wantWhole(t, address, "app", root)
		})
	}
}

// TestAnUploadOfWhichAllArrivedIsFinishedWithoutABody: the connection broke between the last byte and the answer.
func TestAnUploadOfWhichAllArrivedIsFinishedWithoutABody(t *testing.T) {
	for name, start := range startRegistries {
		t.Run(name, func(t *testing.T) {
			registry := start(t)
			var cut atomic.Bool
			proxy, address := remotetest.NewProxy(t, registry, func(w http.ResponseWriter, r *http.Request) bool {
				if !is(r, "PUT", "/uploads/") || r.ContentLength < 1<<20 || !cut.CompareAndSwap(false, true) {
					return false
				}
				appendTo(t, registry, r)
				return hangUp(w)
			})
			var src mem.Store
			layer := blobtest.Bytes("all of it", 8<<20)
			root := blobtest.Image(t, &src, linux, layer)
			push(t, remote.New(remote.Options{}), address, "app", &src, root)
			seen, sent := proxy.Reset()
			if sent > int64(len(layer))+1<<20 {
				t.Errorf("sent %d bytes for a blob of %d, all of which had arrived", sent, len(layer))
			}
			for _, s := range seen {
				if s.Status >= 400 && s.Method != "HEAD" {
					t.Errorf("%s %s was answered by %d", s.Method, s.Path, s.Status)
				}
			}
			wantWhole(t, address, "app", root)
		})
	}
}

// appendTo gives the body of an upload to the registry, without finishing it.
func appendTo(t *testing.T, registry string, r *http.Request) {
	u := *r.URL
	u.Scheme, u.Host = "http", registry
	query := u.Query()
	query.Del("digest")
	u.RawQuery = query.Encode()
	patch, err := http.NewRequestWithContext(r.Context(), "PATCH", u.String(), r.Body)
	if err != nil {
		t.Error(err)
		return
	}
	patch.Host, patch.ContentLength = r.Host, r.ContentLength
	patch.Header.Set("Content-Type", "application/octet-stream")
	resp, err := http.DefaultClient.Do(patch)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Errorf("the registry answered %s to a PATCH", resp.Status)
	}
}

// hangUp ends the connection without an answer.
func hangUp(w http.ResponseWriter) bool {
	c, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		c.Close()
	}
	return true
}

// TestABadLineIsNotGivenUp as long as each try gets further.
func TestABadLineIsNotGivenUp(t *testing.T) {
	_, address := remotetest.NewProxy(t, remotetest.Olareg(t), closeAfter(100, 1<<20))
	var src mem.Store
	root := blobtest.Image(t, &src, linux, blobtest.Bytes("bad line", 12<<20))
	to := blob.Retry{Wait: 50 * time.Millisecond, MaxWait: 50 * time.Millisecond, Attempts: 3}.Sink(open(t, remote.New(remote.Options{}), address, "app"))
	if _, err := blob.Copy(t.Context(), to, &src, blob.CopyOptions{}, root); err != nil {
		t.Fatal(err)
	}
}

// TestAnUploadThatCannotGoOnBeginsAnew: the registry has forgotten it.
func TestAnUploadThatCannotGoOnBeginsAnew(t *testing.T) {
	cut := closeAfter(1, 2<<20)
	_, address := remotetest.NewProxy(t, remotetest.Distribution(t), func(w http.ResponseWriter, r *http.Request) bool {
		if is(r, "GET", "/uploads/") {
			return refuse(w, 404, "BLOB_UPLOAD_UNKNOWN", "gone")
		}
		return cut(w, r)
	})
	var src mem.Store
	root := blobtest.Image(t, &src, linux, blobtest.Bytes("large", 8<<20))
	push(t, remote.New(remote.Options{}), address, "app", &src, root)
	wantWhole(t, address, "app", root)
}

// TestConnectionsThatBreak are opened again: every third request gets no answer.
func TestConnectionsThatBreak(t *testing.T) {
	var n atomic.Int64
	_, address := remotetest.NewProxy(t, remotetest.Distribution(t), func(w http.ResponseWriter, r *http.Request) bool {
		return n.Add(1)%3 == 0 && hangUp(w)
	})
	var src mem.Store
	root := blobtest.Image(t, &src, linux, layers("breaks", 10, 100_000)...)
	to := blob.Retry{Wait: 1, Attempts: 20}.Sink(open(t, remote.New(remote.Options{}), address, "app"))
	if _, err := blob.Copy(t.Context(), to, &src, blob.CopyOptions{}, root); err != nil {
		t.Fatal(err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		fault fault
		want  []string // in the error
		hint  string
	}{
		"a body that is too large": {
			func(w http.ResponseWriter, r *http.Request) bool {
				if !is(r, "PUT", "/uploads/") {
					return false
				}
				w.Header().Set("Connection", "close")
				http.Error(w, "<html>413</html>", http.StatusRequestEntityTooLarge)
				return true
			},
			[]string{"/app: blob sha256:", "413 request entity too large"}, "raise its limit",
		},
		"a repository that must be made first": {
			func(w http.ResponseWriter, r *http.Request) bool {
				return is(r, "POST", "/uploads/") && refuse(w, 404, "NAME_UNKNOWN", "the repository app is not there")
			},
			[]string{"/app: blob sha256:", "name unknown: the repository app is not there"}, "make it first",
		},
		"no right to push": {
			func(w http.ResponseWriter, r *http.Request) bool {
				return is(r, "POST", "/uploads/") && refuse(w, 403, "DENIED", "read-only")
			},
			[]string{"/app: blob sha256:", "denied: read-only"}, "docker login",
		},
		"a manifest that is refused": {
			func(w http.ResponseWriter, r *http.Request) bool {
				return is(r, "PUT", "/manifests/") && refuse(w, 400, "MANIFEST_INVALID", "policy: no")
			},
			[]string{"/app: manifest sha256:", "manifest invalid: policy: no"}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, address := remotetest.NewProxy(t, remotetest.Olareg(t), c.fault)
			var src mem.Store
			root := blobtest.Image(t, &src, linux, blobtest.Bytes(name, 16<<20))
			_, err := blob.Copy(t.Context(), quick.Sink(open(t, remote.New(remote.Options{}), address, "app")), &src, blob.CopyOptions{}, root)
			if err == nil {
				t.Fatal("the push succeeded")
			}
			for _, want := range append(c.want, address) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			var said *remote.Error
			if !errors.As(err, &said) || !strings.Contains(said.Hint(), c.hint) {
				t.Errorf("hint of %v is %q; want it to say %q", err, said.Hint(), c.hint)
			}
		})
	}
}

// TestCancellingEndsAPushAtOnce, whatever the registry is doing.
func TestCancellingEndsAPushAtOnce(t *testing.T) {
	release := make(chan struct{})
	_, address := remotetest.NewProxy(t, remotetest.Olareg(t), func(w http.ResponseWriter, r *http.Request) bool {
		if !is(r, "PUT", "/uploads/") {
			return false
		}
		<-release
		return true
	})
	defer close(release)
	var src mem.Store
	root := blobtest.Image(t, &src, linux, layers("stuck", 3, 1<<20)...)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := blob.Copy(ctx, quick.Sink(open(t, remote.New(remote.Options{}), address, "app")), &src, blob.CopyOptions{}, root)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v", took)
	}
}

func TestTLSWithAnAuthorityOfOnesOwn(t *testing.T) {
	proxy := &remotetest.Proxy{Registry: remotetest.Olareg(t)}
	server := httptest.NewUnstartedServer(proxy.Handler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // a handshake is meant to fail
	server.StartTLS()
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "https://")
	var src mem.Store
	root := blobtest.Image(t, &src, linux, layers("tls", 3, 1000)...)

	_, err := open(t, remote.New(remote.Options{}), address, "app").Missing(t.Context(), root)
	var said *remote.Error
	if !errors.As(err, &said) || !strings.Contains(said.Hint(), "SSL_CERT_FILE") {
		t.Errorf("without the authority: %v; want a hint at SSL_CERT_FILE", err)
	}
	trusting := remote.NewTransport(4)
	trusting.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
	push(t, remote.New(remote.Options{Transport: trusting}), address, "app", &src, root)
}
