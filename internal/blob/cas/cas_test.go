package cas_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"lukechampine.com/blake3"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/cas"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// open opens an endpoint, and closes it after the test.
func open(t *testing.T, endpoint string, o cas.Options) *cas.Cache {
	t.Helper()
	c, err := cas.Open(endpoint, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// read reads a blob through what the program puts around a cache.
func read(ctx context.Context, c blob.Source, d oci.Descriptor) ([]byte, error) {
	quick := blob.Retry{Wait: time.Millisecond}
	r, err := blob.Verify("remote cache", quick.Source(c)).Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func wantRead(t *testing.T, c blob.Source, d oci.Descriptor, body []byte) {
	t.Helper()
	if got, err := read(t.Context(), c, d); err != nil || !bytes.Equal(got, body) {
		t.Errorf("read %d bytes, %v: want %d", len(got), err, len(body))
	}
}

func TestSources(t *testing.T) {
	t.Run("gRPC", func(t *testing.T) {
		blobtest.TestSource(t, func(t *testing.T, bodies ...[]byte) blob.Source {
			return open(t, newServer(bodies...).start(t), cas.Options{})
		})
	})
	t.Run("AnInstanceWithSmallBatchesOnASocket", func(t *testing.T) {
		blobtest.TestSource(t, func(t *testing.T, bodies ...[]byte) blob.Source {
			s := newServer(bodies...)
			s.batch = 3
			return open(t, s.startUnix(t), cas.Options{})
		})
	})
	t.Run("AnOldServer", func(t *testing.T) {
		blobtest.TestSource(t, func(t *testing.T, bodies ...[]byte) blob.Source {
			s := newServer(bodies...)
			s.functions, s.instance = nil, "an/instance"
			return open(t, s.start(t), cas.Options{})
		})
	})
	t.Run("HTTP", func(t *testing.T) {
		blobtest.TestSource(t, func(t *testing.T, bodies ...[]byte) blob.Source {
			return open(t, serveHTTP(t, true, bodies...), cas.Options{})
		})
	})
	t.Run("HTTPWithoutRanges", func(t *testing.T) {
		blobtest.TestSource(t, func(t *testing.T, bodies ...[]byte) blob.Source {
			return open(t, serveHTTP(t, false, bodies...), cas.Options{})
		})
	})
	t.Run("Disk", func(t *testing.T) {
		blobtest.TestSource(t, func(t *testing.T, bodies ...[]byte) blob.Source {
			return cas.Disk{Dir: disk(t, "cas", func(b []byte) string { return oci.DigestOf(b).Encoded() }, bodies...)}
		})
	})
	t.Run("BLAKE3", func(t *testing.T) {
		blobtest.TestSource(t, func(t *testing.T, bodies ...[]byte) blob.Source {
			s := newServer(bodies...)
			s.functions = []repb.DigestFunction_Value{repb.DigestFunction_BLAKE3}
			return open(t, s.start(t), cas.Options{Key: blake3Of(bodies...)})
		})
	})
	t.Run("DiskWithBLAKE3", func(t *testing.T) {
		blobtest.TestSource(t, func(t *testing.T, bodies ...[]byte) blob.Source {
			return cas.Disk{Dir: disk(t, "blake3/cas", sum3, bodies...), Key: blake3Of(bodies...)}
		})
	})
}

func sum3(b []byte) string {
	sum := blake3.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func blake3Of(bodies ...[]byte) func(oci.Descriptor) (cas.Key, bool) {
	sums := map[oci.Digest]string{}
	for _, b := range bodies {
		sums[oci.DigestOf(b)] = sum3(b)
	}
	return cas.BLAKE3(func(d oci.Digest) (string, bool) { s, ok := sums[d]; return s, ok })
}

// disk is a directory as Bazel makes it.
func disk(t *testing.T, under string, sum func([]byte) string, bodies ...[]byte) string {
	t.Helper()
	dir := t.TempDir()
	for _, b := range bodies {
		path := filepath.Join(dir, under, sum(b)[:2], sum(b))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func serveHTTP(t *testing.T, ranges bool, bodies ...[]byte) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, b := range bodies {
			if r.URL.Path != "/cas/"+oci.DigestOf(b).Encoded() {
				continue
			}
			if !ranges {
				r.Header.Del("Range")
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestMissingTellsWhatIsNotThere(t *testing.T) {
	here, away := []byte("here"), []byte("away")
	d := []oci.Descriptor{blobtest.Describe(away), blobtest.Describe(here), {Digest: "sha256:nonsense"}}
	for name, endpoint := range map[string]string{"gRPC": newServer(here).start(t), "HTTP": serveHTTP(t, true, here)} {
		t.Run(name, func(t *testing.T) {
			got, err := open(t, endpoint, cas.Options{}).Missing(t.Context(), d...)
			if err != nil || len(got) != 2 || got[0].Digest != d[0].Digest || got[1].Digest != d[2].Digest {
				t.Errorf("missing are %v, %v", got, err)
			}
		})
	}
}

func TestABrokenTransferGoesOnWhereItBroke(t *testing.T) {
	body := blobtest.Bytes("resume", 1<<20)
	faults := map[string]error{
		"server away":        status.Error(codes.Unavailable, "going down"),
		"reset":              status.Error(codes.Internal, "stream terminated by RST_STREAM"),
		"ends without error": nil,
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			s := newServer(body)
			s.fault = faultyAfter(256<<10, fault)
			c := open(t, s.start(t), cas.Options{})
			wantRead(t, c, blobtest.Describe(body), body)
			reads := s.asked()
			for i, r := range reads {
				if r.ReadOffset != int64(i)*256<<10 || r.ReadLimit != 0 {
					t.Errorf("read %d asks for %d bytes from %d", i, r.ReadLimit, r.ReadOffset)
				}
			}
			if len(reads) != 4 {
				t.Errorf("%d reads: want 4", len(reads))
			}
		})
	}
}

// faultyAfter breaks each stream that has more than n bytes after the first n.
func faultyAfter(n int64, err error) func(int, int64, int64) (error, bool) {
	return func(_ int, _, sent int64) (error, bool) {
		if sent < n {
			return nil, false
		}
		return err, true
	}
}

func TestATransferThatStallsIsTakenUpAgain(t *testing.T) {
	body := blobtest.Bytes("stall", 200<<10)
	s := newServer(body)
	s.hang = make(chan struct{})
	c := open(t, s.start(t), cas.Options{Stall: 100 * time.Millisecond})
	wantRead(t, c, blobtest.Describe(body), body)
	if got := len(s.asked()); got != 4 {
		t.Errorf("%d reads: want one for each chunk of 64 KiB", got)
	}
}

func TestAQuestionThatIsNotAnsweredIsGivenUp(t *testing.T) {
	s := newServer()
	s.hang = make(chan struct{})
	defer close(s.hang)
	_, err := open(t, s.start(t), cas.Options{Stall: 100 * time.Millisecond}).Missing(t.Context(), blobtest.Describe([]byte("asked for")))
	if !blob.IsTransient(err) || !strings.Contains(err.Error(), "which blobs are missing") {
		t.Errorf("error is %v", err)
	}
}

func TestAReadEndsWithItsContext(t *testing.T) {
	body := blobtest.Bytes("cancel", 200<<10)
	s := newServer(body)
	s.hang = make(chan struct{})
	c := open(t, s.start(t), cas.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := read(ctx, c, blobtest.Describe(body)); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func TestBytesAreCompressedOnTheirWayWhenThatHelps(t *testing.T) {
	body := bytes.Repeat([]byte("a tar compresses "), 50_000)
	s := newServer(body)
	s.zstd = true
	c := open(t, s.start(t), cas.Options{})
	tar := blobtest.Describe(body)
	tar.MediaType = oci.MediaTypeLayer
	wantRead(t, c, tar, body)
	wantRead(t, c, blobtest.Describe(body), body)
	r, err := c.OpenRange(t.Context(), tar, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, body[100_000:]) {
		t.Errorf("from the middle: %d bytes, %v", len(got), err)
	}
	for i, compressed := range []bool{true, false, true} {
		if name := s.asked()[i].ResourceName; strings.HasPrefix(name, "compressed-blobs/zstd/") != compressed {
			t.Errorf("read %d is of %s", i, name)
		}
	}
}

func TestManyTransfersUseMoreConnections(t *testing.T) {
	body := blobtest.Bytes("many", 200<<10)
	s := newServer(body)
	s.hang = make(chan struct{})
	c := open(t, s.start(t), cas.Options{Connections: 3})
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() { wantRead(t, c, blobtest.Describe(body), body) })
	}
	for len(s.asked()) < 16 {
		time.Sleep(time.Millisecond)
	}
	close(s.hang)
	all.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.connected != 3 {
		t.Errorf("%d connections: want 3", s.connected)
	}
}

// TestABlobThatIsNotThereLeavesTheConnection for the next question: a push asks for hundreds that are elsewhere.
func TestABlobThatIsNotThereLeavesTheConnection(t *testing.T) {
	var connected atomic.Int32
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connected.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c := open(t, s.URL, cas.Options{})
	for range 5 {
		if _, err := c.Open(t.Context(), blobtest.Describe([]byte("away"))); !errors.Is(err, blob.ErrNotFound) {
			t.Fatal(err)
		}
	}
	if n := connected.Load(); n != 1 {
		t.Errorf("five questions took %d connections: want 1", n)
	}
}

func TestCredentialsAreSent(t *testing.T) {
	body := blobtest.Bytes("secret", 200<<10)
	var asked sync.Map
	helper := func(_ context.Context, uri string) (http.Header, error) {
		asked.Store(uri, true)
		return http.Header{"X-Token": {"one", "two"}}, nil
	}
	s := newServer(body)
	s.check = func(md metadata.MD) error {
		if strings.Join(md.Get("authorization"), " ") == "Basic dXNlcjpwYXNz" && strings.Join(md.Get("x-token"), " ") == "one two" {
			return nil
		}
		return status.Error(codes.Unauthenticated, "who are you?")
	}
	host := strings.TrimPrefix(s.start(t), "grpc://")
	c := open(t, "grpc://user:pass@"+host, cas.Options{Credentials: helper})
	wantRead(t, c, blobtest.Describe(body), body)
	for _, service := range []string{"build.bazel.remote.execution.v2.Capabilities", "google.bytestream.ByteStream"} {
		if _, ok := asked.Load("https://" + host + "/" + service); !ok {
			t.Errorf("the helper was not asked for %s", service)
		}
	}
	if strings.Contains(c.Name(), "pass") {
		t.Errorf("the name %s has the password", c.Name())
	}
	_, err := read(t.Context(), open(t, "grpc://"+host, cas.Options{}), blobtest.Describe(body))
	var hint interface{ Hint() string }
	if !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "credential_helper") {
		t.Errorf("without credentials: %v", err)
	}
}

func TestAHelperThatFailsIsNotAskedAgain(t *testing.T) {
	asked := 0
	o := cas.Options{Credentials: func(context.Context, string) (http.Header, error) { asked++; return nil, errors.New("no account") }}
	for _, endpoint := range []string{newServer().start(t), serveHTTP(t, true)} {
		asked = 0
		_, err := read(t.Context(), open(t, endpoint, o), blobtest.Describe([]byte("x")))
		if err == nil || !strings.Contains(err.Error(), "no account") || asked != 1 {
			t.Errorf("%s: %v, asked %d times", endpoint, err, asked)
		}
	}
}

func TestWrongBytesAreNoticed(t *testing.T) {
	body := blobtest.Bytes("right", 100<<10)
	d := blobtest.Describe(body)
	for name, wrong := range map[string][]byte{
		"other bytes": blobtest.Bytes("wrong", 100<<10),
		"more bytes":  append(bytes.Clone(body), 1),
	} {
		s := newServer(body)
		for resource := range s.blobs {
			s.blobs[resource] = wrong
		}
		if _, err := read(t.Context(), open(t, s.start(t), cas.Options{}), d); !errors.Is(err, blob.ErrMismatch) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestACacheOfAnotherDigestFunctionSaysSo(t *testing.T) {
	body := []byte("body")
	s := newServer(body)
	s.functions = []repb.DigestFunction_Value{repb.DigestFunction_BLAKE3}
	_, err := read(t.Context(), open(t, s.start(t), cas.Options{}), blobtest.Describe(body))
	if err == nil || !strings.Contains(err.Error(), "--digest_function") {
		t.Errorf("error is %v", err)
	}
}

func TestAServerThatIsNotThereIsTriedAgainAndNamed(t *testing.T) {
	_, err := read(t.Context(), open(t, "grpc://127.0.0.1:1", cas.Options{}), blobtest.Describe([]byte("x")))
	if err == nil || errors.Is(err, blob.ErrNotFound) || !strings.Contains(err.Error(), "grpc://127.0.0.1:1") || !strings.Contains(err.Error(), "tried 5 times") {
		t.Errorf("error is %v", err)
	}
}

// TestAFileOfAnotherSizeIsPassedOver: a disk cache may hold what a crash, or a full disk, left of a blob.
func TestAFileOfAnotherSizeIsPassedOver(t *testing.T) {
	body := []byte("the layer")
	d := blobtest.Describe(body)
	cache := cas.Disk{Dir: disk(t, "cas", func([]byte) string { return d.Digest.Encoded() }, body[:4])}
	if _, err := cache.Open(t.Context(), d); !errors.Is(err, blob.ErrMismatch) || !strings.Contains(err.Error(), cache.Dir) {
		t.Errorf("error is %v; want ErrMismatch and the cache", err)
	}
	wantRead(t, blob.Fallback(blob.Named{Name: "disk cache", Source: cache}, blob.Named{Name: "remote cache", Source: blobtest.Content(body)}), d, body)
}
