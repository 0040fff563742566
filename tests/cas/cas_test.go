// Package cas_test reads from a real remote cache, bazel-remote, by every way that Bazel has to it.
package cas_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/cas"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// fill puts blobs into a cache, as Bazel does over HTTP.
func fill(t *testing.T, cache bazeltest.Cache, bodies ...[]byte) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for _, body := range bodies {
		req, err := http.NewRequest(http.MethodPut, cache.HTTP+"/cas/"+oci.DigestOf(body).Encoded(), bytes.NewReader(body))
		bazeltest.Must(t, err)
		resp, err := client.Do(req)
		bazeltest.Must(t, err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("PUT: %s", resp.Status)
		}
	}
}

func open(t *testing.T, endpoint string) *cas.Cache {
	t.Helper()
	c, err := cas.Open(endpoint, cas.Options{})
	bazeltest.Must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestBazelRemotePasses(t *testing.T) {
	for name, flags := range map[string][]string{
		"StoredAsZstd":    nil,
		"StoredAsTheyAre": {"--storage_mode", "uncompressed"},
	} {
		for way, endpoint := range map[string]func(bazeltest.Cache) string{
			"gRPC": func(c bazeltest.Cache) string { return c.GRPC },
			"HTTP": func(c bazeltest.Cache) string { return c.HTTP },
		} {
			t.Run(name+"/"+way, func(t *testing.T) {
				blobtest.TestSource(t, func(t *testing.T, bodies ...[]byte) blob.Source {
					cache := bazeltest.StartCache(t, flags...)
					fill(t, cache, bodies...)
					return open(t, endpoint(cache))
				})
			})
		}
	}
}

func TestTarsComeCompressed(t *testing.T) {
	body := bytes.Repeat([]byte("what a tar holds "), 200_000)
	cache := bazeltest.StartCache(t)
	fill(t, cache, body)
	d := blobtest.Describe(body)
	d.MediaType = oci.MediaTypeLayer
	c := open(t, cache.GRPC)
	for _, offset := range []int64{0, 1, 1_234_567} {
		r, err := c.OpenRange(t.Context(), d, offset)
		bazeltest.Must(t, err)
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || !bytes.Equal(got, body[offset:]) {
			t.Errorf("from %d: %d bytes, %v", offset, len(got), err)
		}
	}
}

func TestWhatIsEvictedIsMissing(t *testing.T) {
	gone, kept := blobtest.Bytes("gone", 100_000), blobtest.Bytes("kept", 100_000)
	cache := bazeltest.StartCache(t)
	fill(t, cache, gone, kept)
	cache.Evict(t, oci.DigestOf(gone).Encoded())
	c := open(t, cache.GRPC)
	missing, err := c.Missing(t.Context(), blobtest.Describe(kept), blobtest.Describe(gone))
	if err != nil || len(missing) != 1 || missing[0].Digest != oci.DigestOf(gone) {
		t.Errorf("missing are %v, %v", missing, err)
	}
	if _, err := c.Open(t.Context(), blobtest.Describe(gone)); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("error is %v", err)
	}
}

func TestPasswordsAreUsed(t *testing.T) {
	body := blobtest.Bytes("secret", 100_000)
	file := filepath.Join(t.TempDir(), "htpasswd")
	bazeltest.Must(t, os.WriteFile(file, []byte("user:{SHA}nU4eI71bcnBGqeO0t9tXvY1u5oQ=\n"), 0o600))
	cache := bazeltest.StartCache(t, "--htpasswd_file", file, "--allow_unauthenticated_reads=false")
	for _, endpoint := range []string{cache.GRPC, cache.HTTP} {
		t.Run(endpoint[:4], func(t *testing.T) {
			var scheme, host string
			fmt.Sscanf(endpoint, "%4s://%s", &scheme, &host)
			_, err := open(t, endpoint).Open(t.Context(), blobtest.Describe(body))
			var hint interface{ Hint() string }
			if !errors.As(err, &hint) || hint.Hint() == "" {
				t.Errorf("without a password: %v", err)
			}
			if _, err := open(t, scheme+"://user:pass@"+host).Open(t.Context(), blobtest.Describe(body)); !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("with it: %v", err)
			}
		})
	}
}
