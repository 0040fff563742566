package cas

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// maxMessage bounds one answer. A server that streams sends far smaller ones; gRPC's own limit is 4 MiB, which some exceed by a little.
const maxMessage = 16 << 20

// grpcCache is a cache over the Remote Execution API.
type grpcCache struct {
	endpoint Endpoint
	stall    time.Duration
	conns    *pool

	mu    sync.Mutex
	known *abilities
}

func newGRPC(e Endpoint, o Options) (*grpcCache, error) {
	c := &grpcCache{endpoint: e, stall: o.Stall}
	if c.stall == 0 {
		c.stall = time.Minute
	}
	options := dialOptions(e, o)
	dial := func() (*grpc.ClientConn, error) { return grpc.NewClient(target(e), options...) }
	c.conns = &pool{dial: dial, max: o.Connections}
	return c, c.conns.first()
}

func (c *grpcCache) close() error { return c.conns.close() }

// target is what gRPC calls the endpoint. The machine's resolver is asked, so that a name with several addresses is tried at each.
func target(e Endpoint) string {
	switch {
	case e.Scheme == "unix":
		return "unix:" + e.Host
	case !strings.Contains(strings.TrimPrefix(e.Host, "["), ":") || strings.HasSuffix(e.Host, "]"):
		return "dns:///" + e.Host + ":443"
	}
	return "dns:///" + e.Host
}

func dialOptions(e Endpoint, o Options) []grpc.DialOption {
	secure := insecure.NewCredentials()
	if e.Scheme == "grpcs" {
		secure = credentials.NewTLS(nil)
	}
	a := &authorizer{endpoint: e, headers: o.Credentials}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(secure),
		grpc.WithUserAgent("rules_img"),
		grpc.WithUnaryInterceptor(a.unary),
		grpc.WithStreamInterceptor(a.stream),
		// Retry knows how far a transfer got; gRPC's own retries do not.
		grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		// A load balancer forgets connections in silence. A ping each half minute in which nothing came, while something is
		// expected, is what servers allow that are strict with pings: two in a row, and a transfer is not waited for longer.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}),
	}
}

// authorizer puts credentials into requests: those of the endpoint, and over them those of a helper.
type authorizer struct {
	endpoint Endpoint
	headers  func(ctx context.Context, uri string) (http.Header, error)
}

func (a *authorizer) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	ctx, err := a.authorize(ctx, method)
	if err != nil {
		return err
	}
	return invoke(ctx, method, req, reply, cc, opts...)
}

func (a *authorizer) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, start grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, err := a.authorize(ctx, method)
	if err != nil {
		return nil, err
	}
	return start(ctx, desc, cc, method, opts...)
}

// authorize returns a context whose requests carry the credentials. A helper is asked about https://HOST/SERVICE, as Bazel asks.
func (a *authorizer) authorize(ctx context.Context, method string) (context.Context, error) {
	md := metadata.MD{}
	if a.endpoint.User != nil {
		md.Set("authorization", basic(a.endpoint))
	}
	if a.headers != nil && a.endpoint.Scheme != "unix" {
		service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
		headers, err := a.headers(ctx, "https://"+a.endpoint.Host+"/"+service)
		if err != nil {
			return nil, err
		}
		for name, values := range headers {
			md.Set(strings.ToLower(name), values...)
		}
	}
	if len(md) == 0 {
		return ctx, nil
	}
	return metadata.NewOutgoingContext(ctx, md), nil
}

func basic(e Endpoint) string {
	password, _ := e.User.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(e.User.Username()+":"+password))
}

// missing asks in portions, since a request has a size limit too, and about the digests of one function.
func (c *grpcCache) missing(ctx context.Context, bs []named) ([]oci.Descriptor, error) {
	var missing []oci.Descriptor
	of := map[repb.DigestFunction_Value][]named{}
	for _, b := range bs {
		of[b.key.Function] = append(of[b.key.Function], b)
	}
	for _, all := range of {
		for some := range slices.Chunk(all, 10_000) {
			found, err := c.findMissing(ctx, some)
			if err != nil {
				return nil, err
			}
			missing = append(missing, found...)
		}
	}
	return missing, nil
}

func (c *grpcCache) findMissing(ctx context.Context, bs []named) ([]oci.Descriptor, error) {
	req := &repb.FindMissingBlobsRequest{InstanceName: c.endpoint.Path, DigestFunction: bs[0].key.Function}
	of := map[string]oci.Descriptor{}
	for _, b := range bs {
		req.BlobDigests = append(req.BlobDigests, b.digest())
		of[b.key.Hash] = b.Descriptor
	}
	conn, done, err := c.conns.get()
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, c.stall)
	defer cancel()
	resp, err := repb.NewContentAddressableStorageClient(conn).FindMissingBlobs(ctx, req)
	if err != nil {
		return nil, c.trouble(ctx, "which blobs are missing", err)
	}
	var missing []oci.Descriptor
	for _, d := range resp.MissingBlobDigests {
		missing = append(missing, of[d.Hash])
	}
	return missing, nil
}
