package main

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/bazel-contrib/rules_img/cmd/internal/wiring"
	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/cas"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry/commit"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
	"github.com/bazel-contrib/rules_img/proto/blobcache"
)

// onlyAnn lets one user in.
type onlyAnn struct{}

func (onlyAnn) Admit(r *http.Request) (who, challenge string) {
	if name, password, _ := r.BasicAuth(); name == "ann" && password == "secret" {
		return name, ""
	}
	return "", "Basic"
}

// serveCommits runs the service of a registry with nothing in it, and returns its address.
func serveCommits(t *testing.T) string {
	t.Helper()
	s, err := store.Open(t.TempDir(), store.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := commit.New(commit.Options{Store: s, Gate: onlyAnn{}})
	go server.Serve(l)
	t.Cleanup(server.Stop)
	return l.Addr().String()
}

func TestTheServiceForPushesIsShownCredentials(t *testing.T) {
	address := serveCommits(t)
	d := oci.Describe(oci.MediaTypeConfig, []byte("{}"))
	plan := deploy.Plan{Name: "//:push", Operations: []deploy.Operation{{Strategy: "cas_registry"}}, Blobs: []deploy.Blob{{Descriptor: d}}}
	to := oci.Reference{Registry: "reg.test", Repository: "app"}
	for endpoint, want := range map[string]string{
		"grpc://ann:secret@" + address: "",
		"grpc://ann:wrong@" + address:  "commit to app: want a name and password, or a token",
		"grpc://" + address:            "commit to app: want a name and password, or a token",
	} {
		p := process{Getenv: func(name string) string { return map[string]string{blobCacheVariable: endpoint}[name] }}
		tell, closing, err := openCommitter(p, plan, blob.Retry{Attempts: 1})
		if err != nil {
			t.Fatal(err)
		}
		missing, err := tell(t.Context(), to, []oci.Descriptor{d})
		switch {
		case want == "" && (err != nil || len(missing) != 1 || missing[0].Digest != d.Digest):
			t.Errorf("%s: missing are %v, %v", endpoint, missing, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: error is %v; want %q in it", endpoint, err, want)
		case want != "" && (len(wiring.Hints(err)) != 1 || !strings.HasPrefix(wiring.Hints(err)[0], "$IMG_BLOB_CACHE_ENDPOINT is the --grpc-port")):
			t.Errorf("%s: hints are %q", endpoint, wiring.Hints(err))
		}
		if err := closing(); err != nil {
			t.Error(err)
		}
	}
}

// silent has a registry that never answers.
type silent struct{}

func (silent) Commit(ctx context.Context, _ *blobcache.CommitRequest) (*blobcache.CommitResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestARegistryThatIsSilentIsNotWaitedForForever(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	blobcache.Register(server, silent{})
	go server.Serve(l)
	t.Cleanup(server.Stop)
	endpoint := "grpc://" + l.Addr().String()
	conn, err := cas.Dial(endpoint, cas.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := committer{endpoint: endpoint, conn: conn, retry: blob.Retry{Attempts: 2, Wait: 1}, within: time.Second}
	_, err = c.commit(t.Context(), oci.Reference{Registry: "reg.test", Repository: "app"}, []oci.Descriptor{oci.Describe("", nil)})
	if err == nil || !strings.Contains(err.Error(), "commit to app: no answer in time (DeadlineExceeded) (tried 2 times)") {
		t.Errorf("error is %v", err)
	}
}

func TestAnEndpointThatIsNoneIsAnError(t *testing.T) {
	plan := deploy.Plan{Operations: []deploy.Operation{{Strategy: "cas_registry"}}}
	for _, endpoint := range []string{"http://a:1", "grpc://a:1/instance", "ftp://a"} {
		p := process{Getenv: func(name string) string { return map[string]string{blobCacheVariable: endpoint}[name] }}
		if _, _, err := openCommitter(p, plan, blob.Retry{}); err == nil || !strings.Contains(err.Error(), "grpc://HOST:PORT") {
			t.Errorf("%s: error is %v", endpoint, err)
		}
	}
}
