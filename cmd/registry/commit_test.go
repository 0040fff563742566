package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
	"github.com/bazel-contrib/rules_img/proto/blobcache"
)

func dial(t *testing.T, address string, secure credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("dns:///"+address, grpc.WithTransportCredentials(secure))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Who may not push may not commit, and is told so before a message is read.
func TestACommitIsForThoseWhoAreKnown(t *testing.T) {
	s := makeSecrets(t)
	server := start(t, "--dir", t.TempDir(), "--tls-cert", s.cert, "--tls-key", s.key, "--htpasswd", s.htpasswd, "--token-file", s.tokens,
		"--enable-blobcache", "--grpc-port", "0")
	conn := dial(t, server.address(t, "blobcache"), credentials.NewTLS(&tls.Config{RootCAs: s.transport.TLSClientConfig.RootCAs}))
	for authorization, want := range map[string]codes.Code{
		"": codes.Unauthenticated,
		"Basic " + base64.StdEncoding.EncodeToString([]byte("ann:wrong")):  codes.Unauthenticated,
		"Bearer " + strings.ToUpper(token):                                 codes.Unauthenticated,
		"Basic " + base64.StdEncoding.EncodeToString([]byte("ann:secret")): codes.OK,
		"Bearer " + token: codes.OK,
	} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", authorization)
		out, err := blobcache.Commit(ctx, conn, &blobcache.CommitRequest{Repository: "a", Blobs: []*blobcache.Blob{{Sha256: make([]byte, 32), Size: 1}}})
		if status.Code(err) != want || want == codes.OK && len(out.Missing) != 1 {
			t.Errorf("%q: %v, %v; want %v", authorization, out, err, want)
		}
	}
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, blobcache.CommitMethod)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(new(blobcache.CommitResponse)); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a request without its message is answered with %v", err)
	}
}

func TestACommitIsChecked(t *testing.T) {
	server := start(t, "--dir", t.TempDir(), "--enable-blobcache", "--grpc-port", "0")
	conn := dial(t, server.address(t, "blobcache"), insecure.NewCredentials())
	sum := make([]byte, 32)
	for want, in := range map[string]*blobcache.CommitRequest{
		"no valid name":      {Repository: "../up"},
		"a size":             {Repository: "a", Blobs: []*blobcache.Blob{{Sha256: sum, Size: -1}}},
		"32 bytes":           {Repository: "a", Blobs: []*blobcache.Blob{{Sha256: sum[1:]}}},
		"want 32 bytes":      {Repository: "a", Blobs: []*blobcache.Blob{{Sha256: sum, Blake3: sum[1:]}}},
		"reference \"../x/y": {Repository: "a", Blobs: []*blobcache.Blob{{Sha256: sum, Origins: []*blobcache.Origin{{Registry: "../x", Repository: "y"}}}}},
		"10000 at once":      {Repository: "a", Blobs: make([]*blobcache.Blob, 10_001)},
	} {
		for i := range in.Blobs {
			if in.Blobs[i] == nil {
				in.Blobs[i] = &blobcache.Blob{Sha256: sum}
			}
		}
		if _, err := blobcache.Commit(t.Context(), conn, in); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v; want %q in it", err, want)
		}
	}
}

// What was committed is there after the registry was killed. Of the origins that a push names, those alone are asked that the operator named.
func TestACommitSurvivesAKill(t *testing.T) {
	var strangers atomic.Int64
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { strangers.Add(1); http.NotFound(w, nil) }))
	defer stranger.Close()
	upstream := start(t, "--dir", t.TempDir(), "--quiet")
	image, err := random.Image(50_000, 2)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(upstream.host + "/team/base:v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, once); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	args := []string{"--dir", root, "--quiet", "--blob-store", "upstream", "--upstream-url", "http://" + upstream.host, "--enable-blobcache", "--grpc-port", "0"}
	server := start(t, args...)
	conn := dial(t, server.address(t, "blobcache"), insecure.NewCredentials())
	allowed, forbidden := upstream.host, strings.TrimPrefix(stranger.URL, "http://")
	if missing := commitImage(t, conn, image, forbidden); missing != 3 {
		t.Errorf("%d blobs of a stranger are missing; want all 3", missing)
	}
	if missing := commitImage(t, conn, image, forbidden, allowed); missing != 0 {
		t.Errorf("%d blobs are missing that are in the upstream", missing)
	}
	server.Process.Kill()
	server.Wait()

	server = start(t, args...)
	putManifest(t, server.host, image)
	pulled, err := pull(server.host + "/app:v1")
	if err == nil {
		err = validate.Image(pulled)
	}
	if err != nil {
		t.Error(err)
	}
	if n := strangers.Load(); n > 0 {
		t.Errorf("a registry that the operator did not name was asked %d times", n)
	}
}

// An upstream that lets the registry not in has nothing, to who asks as to who reads; and what is lost is an error of the registry's, which the log has.
func TestAnUpstreamThatRefusesHasNothing(t *testing.T) {
	behind := start(t, "--dir", t.TempDir(), "--quiet")
	var refuse atomic.Bool
	_, upstream := remotetest.NewProxy(t, behind.host, func(w http.ResponseWriter, _ *http.Request) bool {
		if refuse.Load() {
			w.WriteHeader(http.StatusForbidden)
		}
		return refuse.Load()
	})
	if err := pushAndPull(t, behind.host); err != nil {
		t.Fatal(err)
	}
	image, err := pull(behind.host + "/team/app")
	if err != nil {
		t.Fatal(err)
	}
	server := start(t, "--dir", t.TempDir(), "--quiet", "--blob-store", "upstream", "--upstream-url", "http://"+upstream+"/team/app")
	putManifest(t, server.host, image)
	refuse.Store(true)
	m, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{http.MethodHead, http.MethodGet} {
		r, err := http.NewRequest(method, "http://"+server.host+"/v2/app/blobs/"+m.Config.Digest.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s is answered with %s", method, answer.Status)
		}
	}
	server.Process.Kill()
	server.Wait()
	for _, want := range []string{"level=ERROR msg=upstream", `level=ERROR msg="GET /v2/app/blobs/`, "source upstream: "} {
		if !strings.Contains(server.log.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, server.log)
		}
	}
}

// commitImage says of each blob of an image where it is from, and returns how many the registry lacks.
func commitImage(t *testing.T, conn *grpc.ClientConn, image v1.Image, registries ...string) int {
	t.Helper()
	m, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	in := &blobcache.CommitRequest{Repository: "app"}
	for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		sum, err := hex.DecodeString(d.Digest.Hex)
		if err != nil {
			t.Fatal(err)
		}
		b := &blobcache.Blob{Sha256: sum, Size: d.Size}
		for _, registry := range registries {
			b.Origins = append(b.Origins, &blobcache.Origin{Registry: registry, Repository: "team/base"})
		}
		in.Blobs = append(in.Blobs, b)
	}
	out, err := blobcache.Commit(context.Background(), conn, in)
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Missing)
}

func putManifest(t *testing.T, host string, image v1.Image) {
	t.Helper()
	body, err := image.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPut, "http://"+host+"/v2/app/manifests/v1", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", string(types.DockerManifestSchema2))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		said, _ := io.ReadAll(answer.Body)
		t.Fatalf("the manifest is answered with %s: %s", answer.Status, said)
	}
}

func TestMetrics(t *testing.T) {
	server := start(t, "--dir", t.TempDir(), "--quiet", "--enable-blobcache", "--grpc-port", "0", "--metrics-port", "0")
	conn := dial(t, server.address(t, "blobcache"), insecure.NewCredentials())
	metrics := server.address(t, "metrics")
	if err := pushAndPull(t, server.host); err != nil {
		t.Fatal(err)
	}
	if image, err := pull(server.host + "/team/app"); err != nil {
		t.Error(err)
	} else if _, err := image.RawConfigFile(); err != nil {
		t.Error(err)
	}
	if _, err := blobcache.Commit(t.Context(), conn, &blobcache.CommitRequest{Repository: "a", Blobs: []*blobcache.Blob{{Sha256: make([]byte, 32)}}}); err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get("http://" + metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# TYPE registry_requests_total counter\n",
		`registry_requests_total{method="PUT",status="201"} `,
		"registry_response_bytes_total ",
		`registry_store_asked_total{store="dir",found="true"} `,
		"registry_commit_blobs_total{found=\"false\"} 1\n",
		"# TYPE go_goroutines gauge\ngo_goroutines ",
		"go_gc_heap_live_bytes ",
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("there is no %q:\n%s", want, got)
		}
	}
}
