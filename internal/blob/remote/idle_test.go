package remote_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// impatient gives up what stands still soon.
var impatient = remote.Options{Idle: 300 * time.Millisecond}

// TestADownloadThatStandsStillGoesOn where it stopped, by another request.
func TestADownloadThatStandsStillGoesOn(t *testing.T) {
	body := blobtest.Bytes("stalls", 1<<20)
	var stalled atomic.Bool
	proxy, address := remotetest.NewProxy(t, remotetest.Olareg(t), func(w http.ResponseWriter, r *http.Request) bool {
		if !is(r, "GET", "/blobs/") || !stalled.CompareAndSwap(false, true) {
			return false
		}
		w.Header().Set("Content-Length", "1048576")
		w.Write(body[:300_000])
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	})
	d := blobtest.Describe(body)
	if err := open(t, remote.New(remote.Options{}), address, "app").Put(t.Context(), d, blobtest.Content(body)); err != nil {
		t.Fatal(err)
	}
	proxy.Reset()
	from := blob.Verify("registry", quick.Source(open(t, remote.New(impatient), address, "app")))
	if got := readWithin(t, from, d); !bytes.Equal(got, body) {
		t.Errorf("read %d bytes of %d", len(got), len(body))
	}
	if seen, _ := proxy.Reset(); len(seen) != 2 || seen[0].Status+seen[1].Status != http.StatusOK+http.StatusPartialContent {
		t.Errorf("requests are %+v; want one for all and one for the rest", seen)
	}
}

func readWithin(t *testing.T, from blob.Source, d oci.Descriptor) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := from.Open(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return got
}

// TestAnAnswerThatStandsStillIsATimeout, whichever it is.
func TestAnAnswerThatStandsStillIsATimeout(t *testing.T) {
	_, address := remotetest.NewProxy(t, "nowhere", func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusOK)
		w.Write([]byte("{"))
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	repo := open(t, remote.New(impatient), address, "app")
	for name, do := range map[string]func() error{
		"a tag": func() error { _, err := repo.Resolve(ctx, "latest"); return err },
		"a blob": func() error {
			r, err := repo.Open(ctx, oci.Descriptor{MediaType: oci.MediaTypeLayerGzip, Digest: oci.DigestOf(nil), Size: 100})
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.ReadAll(r)
			return err
		},
		"the beginning of a blob that is not wanted": func() error {
			_, err := repo.OpenRange(ctx, oci.Descriptor{MediaType: oci.MediaTypeLayerGzip, Digest: oci.DigestOf(nil), Size: 100}, 50)
			return err
		},
	} {
		err := do()
		if !blob.IsTransient(err) || !strings.Contains(err.Error(), "registry "+address+"/app: ") || !strings.Contains(err.Error(), "no byte for 300ms") {
			t.Errorf("%s: error is %v; want a timeout", name, err)
		}
	}
}

// TestAnUploadThatStandsStillGoesOn where it stopped: the registry has taken a part, and then takes nothing more.
func TestAnUploadThatStandsStillGoesOn(t *testing.T) {
	for name, start := range startRegistries {
		t.Run(name, func(t *testing.T) {
			var stalled atomic.Bool
			asked := make(chan struct{})
			ask := sync.OnceFunc(func() { close(asked) })
			defer ask()
			proxy, address := remotetest.NewProxy(t, start(t), func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case is(r, "GET", "/uploads/"):
					ask()
				case is(r, "PUT", "/uploads/") && r.ContentLength > 32<<20 && stalled.CompareAndSwap(false, true):
					r.Body = &stalling{r.Body, 24 << 20, asked}
				}
				return false
			})
			var src mem.Store
			layer := blobtest.Bytes("stalls", 64<<20)
			root := blobtest.Image(t, &src, linux, layer)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if _, err := blob.Copy(ctx, quick.Sink(open(t, remote.New(impatient), address, "app")), &src, blob.CopyOptions{}, root); err != nil {
				t.Fatal(err)
			}
			if _, sent := proxy.Reset(); sent > int64(len(layer))+16<<20 {
				t.Errorf("sent %d bytes for a blob of %d: it was begun anew", sent, len(layer))
			}
			wantWhole(t, address, "app", root)
		})
	}
}

// stalling is a body of which nothing is read after left bytes, until the client has come back.
type stalling struct {
	io.ReadCloser
	left int64
	back <-chan struct{}
}

func (s *stalling) Read(p []byte) (int, error) {
	if s.left <= 0 {
		<-s.back
		return 0, io.ErrUnexpectedEOF
	}
	n, err := s.ReadCloser.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	return n, err
}

// TestWhatIsSlowIsLeftAlone: a transfer that moves, a source that takes its time, and a registry that works at what it got.
func TestWhatIsSlowIsLeftAlone(t *testing.T) {
	const long = 7500 * time.Millisecond
	body := blobtest.Bytes("slow", 16<<20)
	d := blobtest.Describe(body)
	slowly := func(r io.Reader) io.Reader { return &slow{r, len(body) / 20, long / 20} }
	for name, c := range map[string]struct {
		fault fault
		src   blob.Source
	}{
		"a line to the registry": {fault: func(w http.ResponseWriter, r *http.Request) bool {
			r.Body = io.NopCloser(slowly(r.Body))
			return false
		}},
		"a line from the registry": {fault: func(w http.ResponseWriter, r *http.Request) bool {
			if !is(r, "GET", "/blobs/sha256") {
				return false
			}
			io.Copy(w, slowly(bytes.NewReader(body)))
			return true
		}},
		"a registry": {fault: func(w http.ResponseWriter, r *http.Request) bool {
			if is(r, "PUT", "/uploads/") {
				all, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(bytes.NewReader(all))
				time.Sleep(long)
			}
			return false
		}},
		"a source": {src: blob.SourceFunc(func(context.Context, oci.Descriptor) (io.ReadCloser, error) {
			half := len(body) / 2
			return io.NopCloser(io.MultiReader(bytes.NewReader(body[:half]), pause(long), bytes.NewReader(body[half:]))), nil
		})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.src == nil {
				c.src = blobtest.Content(body)
			}
			_, address := remotetest.NewProxy(t, remotetest.Olareg(t), c.fault)
			repo := open(t, remote.New(remote.Options{Idle: 3 * time.Second}), address, "app")
			start := time.Now()
			if err := repo.Put(t.Context(), d, c.src); err != nil { // without retrying
				t.Fatal(err)
			}
			if got := readWithin(t, repo, d); !bytes.Equal(got, body) {
				t.Errorf("read %d bytes", len(got))
			}
			if took := time.Since(start); took < long/2 {
				t.Errorf("took %v: the test is not slow", took)
			}
		})
	}
}

// TestATokenServerThatStandsStillIsAskedAgain.
func TestATokenServerThatStandsStillIsAskedAgain(t *testing.T) {
	s := newTokens(t)
	var stalled atomic.Bool
	_, slowTokens := remotetest.NewProxy(t, strings.TrimPrefix(s.url, "http://"), func(w http.ResponseWriter, r *http.Request) bool {
		if !stalled.CompareAndSwap(false, true) {
			return false
		}
		w.Header().Set("Content-Length", "100")
		w.Write([]byte("{"))
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	})
	s.url = "http://" + strings.Replace(slowTokens, "127.0.0.1", "localhost", 1)
	_, address := remotetest.NewProxy(t, remotetest.Olareg(t), s.demand)
	o := impatient
	o.Keychain = password
	var src mem.Store
	root := blobtest.Image(t, &src, linux, []byte("layer"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := blob.Copy(ctx, quick.Sink(open(t, remote.New(o), address, "app")), &src, blob.CopyOptions{}, root); err != nil {
		t.Fatal(err)
	}
	if !stalled.Load() {
		t.Error("the token server was not asked")
	}
}

// slow reads so many bytes at once at most, and waits before.
type slow struct {
	io.Reader
	most int
	wait time.Duration
}

func (s *slow) Read(p []byte) (int, error) {
	time.Sleep(s.wait * time.Duration(min(len(p), s.most)) / time.Duration(s.most))
	return s.Reader.Read(p[:min(len(p), s.most)])
}

// pause is where a reader waits.
type pause time.Duration

func (p pause) Read([]byte) (int, error) {
	time.Sleep(time.Duration(p))
	return 0, io.EOF
}
