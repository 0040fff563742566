package cas_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"lukechampine.com/blake3"
)

// server is a small cache with the faults that real ones have only at times.
type server struct {
	repb.UnimplementedCapabilitiesServer
	repb.UnimplementedContentAddressableStorageServer
	bytestream.UnimplementedByteStreamServer

	instance  string
	functions []repb.DigestFunction_Value
	batch     int64
	zstd      bool
	check     func(metadata.MD) error                          // of every request
	fault     func(read int, offset, sent int64) (error, bool) // in front of a chunk: an error, or the end of the stream
	hang      chan struct{}                                    // if not nil, streams send one chunk and wait for it

	mu        sync.Mutex
	blobs     map[string][]byte // by resource name without the instance, and compression
	reads     []*bytestream.ReadRequest
	connected int
	open, max int
}

func newServer(bodies ...[]byte) *server {
	s := &server{functions: []repb.DigestFunction_Value{repb.DigestFunction_SHA256}, batch: 4 << 20, blobs: map[string][]byte{}}
	for _, b := range bodies {
		s.add(b)
	}
	return s
}

func (s *server) add(body []byte) {
	sum, sum3 := sha256.Sum256(body), blake3.Sum256(body)
	size := "/" + strconv.Itoa(len(body))
	s.blobs["blobs/"+hex.EncodeToString(sum[:])+size] = body
	s.blobs["blobs/blake3/"+hex.EncodeToString(sum3[:])+size] = body
}

// start serves on loopback and returns the endpoint.
func (s *server) start(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.serve(t, l)
	endpoint := "grpc://" + l.Addr().String()
	if s.instance != "" {
		endpoint += "/" + s.instance
	}
	return endpoint
}

func (s *server) startUnix(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s.serve(t, l)
	return "unix:" + path
}

func (s *server) serve(t *testing.T, l net.Listener) {
	g := grpc.NewServer(
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := s.allowed(ctx); err != nil {
				return nil, err
			}
			return next(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := s.allowed(stream.Context()); err != nil {
				return err
			}
			return next(srv, stream)
		}),
	)
	repb.RegisterCapabilitiesServer(g, s)
	repb.RegisterContentAddressableStorageServer(g, s)
	bytestream.RegisterByteStreamServer(g, s)
	go g.Serve(counted{l, s})
	t.Cleanup(g.Stop)
}

func (s *server) allowed(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	if s.check == nil {
		return nil
	}
	return s.check(md)
}

// counted counts the connections.
type counted struct {
	net.Listener
	s *server
}

func (l counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.s.mu.Lock()
		l.s.connected++
		l.s.mu.Unlock()
	}
	return c, err
}

func (s *server) GetCapabilities(_ context.Context, r *repb.GetCapabilitiesRequest) (*repb.ServerCapabilities, error) {
	if r.InstanceName != s.instance {
		return nil, status.Errorf(codes.InvalidArgument, "no instance %q", r.InstanceName)
	}
	if s.functions == nil {
		return nil, status.Error(codes.Unimplemented, "what?")
	}
	c := &repb.CacheCapabilities{DigestFunctions: s.functions, MaxBatchTotalSizeBytes: s.batch}
	if s.zstd {
		c.SupportedCompressors = []repb.Compressor_Value{repb.Compressor_ZSTD}
	}
	return &repb.ServerCapabilities{CacheCapabilities: c}, nil
}

func (s *server) name(f repb.DigestFunction_Value, d *repb.Digest) string {
	name := "blobs/"
	if f == repb.DigestFunction_BLAKE3 {
		name += "blake3/"
	}
	return name + d.Hash + "/" + strconv.FormatInt(d.SizeBytes, 10)
}

func (s *server) FindMissingBlobs(ctx context.Context, r *repb.FindMissingBlobsRequest) (*repb.FindMissingBlobsResponse, error) {
	if s.hang != nil {
		select {
		case <-s.hang:
		case <-ctx.Done():
		}
	}
	out := &repb.FindMissingBlobsResponse{}
	for _, d := range r.BlobDigests {
		if _, ok := s.blobs[s.name(r.DigestFunction, d)]; !ok {
			out.MissingBlobDigests = append(out.MissingBlobDigests, d)
		}
	}
	return out, nil
}

func (s *server) BatchReadBlobs(_ context.Context, r *repb.BatchReadBlobsRequest) (*repb.BatchReadBlobsResponse, error) {
	out := &repb.BatchReadBlobsResponse{}
	for _, d := range r.Digests {
		if s.batch > 0 && d.SizeBytes > s.batch {
			return nil, status.Error(codes.InvalidArgument, "too large for a batch")
		}
		one := &repb.BatchReadBlobsResponse_Response{Digest: d, Status: status.New(codes.OK, "").Proto()}
		body, ok := s.blobs[s.name(r.DigestFunction, d)]
		if !ok {
			one.Status = status.New(codes.NotFound, "no such blob").Proto()
		}
		one.Data = body
		out.Responses = append(out.Responses, one)
	}
	return out, nil
}

func (s *server) Read(r *bytestream.ReadRequest, stream bytestream.ByteStream_ReadServer) error {
	defer s.enter(r)()
	name := strings.TrimPrefix(r.ResourceName, s.instance+"/")
	plain, compressed := strings.CutPrefix(name, "compressed-blobs/zstd/")
	if compressed {
		name = "blobs/" + plain
	}
	body, ok := s.blobs[name]
	if !ok {
		return status.Error(codes.NotFound, "no such blob")
	}
	body = body[r.ReadOffset:]
	if compressed {
		e, err := zstd.NewWriter(nil)
		if err != nil {
			return err
		}
		body = e.EncodeAll(body, nil)
	}
	return s.send(stream, r.ReadOffset, body)
}

func (s *server) enter(r *bytestream.ReadRequest) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads = append(s.reads, r)
	s.open++
	s.max = max(s.max, s.open)
	return func() { s.mu.Lock(); s.open--; s.mu.Unlock() }
}

func (s *server) send(stream bytestream.ByteStream_ReadServer, offset int64, body []byte) error {
	s.mu.Lock()
	read := len(s.reads)
	s.mu.Unlock()
	for sent := 0; sent < len(body); {
		if s.fault != nil {
			if err, end := s.fault(read, offset, int64(sent)); err != nil || end {
				return err
			}
		}
		n := min(64<<10, len(body)-sent)
		if err := stream.Send(&bytestream.ReadResponse{Data: body[sent : sent+n]}); err != nil {
			return err
		}
		sent += n
		if s.hang != nil {
			select {
			case <-s.hang:
			case <-stream.Context().Done():
				return stream.Context().Err()
			}
		}
	}
	return nil
}

// asked are the reads until now.
func (s *server) asked() []*bytestream.ReadRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*bytestream.ReadRequest(nil), s.reads...)
}
