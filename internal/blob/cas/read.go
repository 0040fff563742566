package cas

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// small is the size up to which a blob comes as one message, which costs a server less than a stream.
const small = 64 << 10

func (c *grpcCache) open(ctx context.Context, b named, offset int64) (io.ReadCloser, error) {
	can, err := c.abilities(ctx)
	if err != nil {
		return nil, err
	}
	if err := can.check(c.endpoint.String(), b.key.Function); err != nil {
		return nil, err
	}
	if b.Size <= small && (can.batch == 0 || b.Size <= can.batch) {
		return c.readOne(ctx, b, offset)
	}
	return c.stream(ctx, b, offset, can.zstd && compresses(b.MediaType))
}

// compresses tells what is worth compressing on its way: not the layers that are compressed already.
func compresses(mediaType string) bool {
	return !strings.Contains(mediaType, "gzip") && !strings.Contains(mediaType, "zstd")
}

// readOne reads a small blob.
func (c *grpcCache) readOne(ctx context.Context, b named, offset int64) (io.ReadCloser, error) {
	conn, done, err := c.conns.get()
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, c.stall)
	defer cancel()
	resp, err := repb.NewContentAddressableStorageClient(conn).BatchReadBlobs(ctx, &repb.BatchReadBlobsRequest{
		InstanceName: c.endpoint.Path, Digests: []*repb.Digest{b.digest()}, DigestFunction: b.key.Function,
	})
	if err != nil {
		return nil, c.trouble(ctx, what(b), err)
	}
	for _, r := range resp.Responses {
		if r.GetDigest().GetHash() == b.key.Hash {
			return c.body(ctx, b, r, offset)
		}
	}
	return nil, c.trouble(ctx, what(b), status.Error(codes.Unknown, "the answer does not have it"))
}

func (c *grpcCache) body(ctx context.Context, b named, r *repb.BatchReadBlobsResponse_Response, offset int64) (io.ReadCloser, error) {
	if err := status.FromProto(r.GetStatus()).Err(); err != nil {
		return nil, c.trouble(ctx, what(b), err)
	}
	if int64(len(r.Data)) != b.Size {
		return nil, c.trouble(ctx, what(b), status.Errorf(codes.DataLoss, "the answer has %d bytes and the blob %d", len(r.Data), b.Size))
	}
	return io.NopCloser(bytes.NewReader(r.Data[offset:])), nil
}

func what(b named) string { return "blob " + string(b.Digest) }

// stream reads a blob from offset to its end. No limit is set: not every server reads a part that ends before the blob does.
func (c *grpcCache) stream(ctx context.Context, b named, offset int64, compressed bool) (io.ReadCloser, error) {
	conn, done, err := c.conns.get()
	if err != nil {
		return nil, err
	}
	s := &stream{cache: c, blob: b, ctx: ctx, left: b.Size - offset, done: done}
	s.streamCtx, s.cancel = context.WithCancelCause(ctx)
	req := &bytestream.ReadRequest{ResourceName: b.resource(c.endpoint.Path, compressed), ReadOffset: offset}
	if s.chunks, err = bytestream.NewByteStreamClient(conn).Read(s.streamCtx, req); err != nil {
		s.Close()
		return nil, c.trouble(ctx, what(b), err)
	}
	if err := s.begin(compressed); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// stream is a blob on its way. Open errors of gRPC come with the first message, so that is read at once: whether there is a blob at all
// must be known before anybody asks for its bytes.
type stream struct {
	cache     *grpcCache
	blob      named
	ctx       context.Context // the caller's
	streamCtx context.Context
	cancel    context.CancelCauseFunc
	done      func()
	chunks    interface {
		Recv() (*bytestream.ReadResponse, error)
	}
	chunk []byte
	err   error // after chunk
	zstd  *zstd.Decoder
	left  int64
}

func (s *stream) begin(compressed bool) error {
	s.receive()
	if s.err != nil && s.err != io.EOF {
		return s.trouble(s.err)
	}
	if !compressed {
		return nil
	}
	var err error
	s.zstd, err = zstd.NewReader(chunkReader{s}, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20))
	return err
}

// Read implements [io.Reader]. A stream that ends before the blob does has broken, whatever its status.
func (s *stream) Read(p []byte) (int, error) {
	from := io.Reader(chunkReader{s})
	if s.zstd != nil {
		from = s.zstd
	}
	n, err := from.Read(p)
	s.left -= int64(n)
	switch {
	case err == io.EOF && s.left > 0:
		return n, s.trouble(fmt.Errorf("ended %d bytes before its end: %w", s.left, io.ErrUnexpectedEOF))
	case err != nil && err != io.EOF:
		return n, s.trouble(err)
	}
	return n, err
}

// Close implements [io.Closer].
func (s *stream) Close() error {
	s.cancel(context.Canceled)
	if s.zstd != nil {
		s.zstd.Close()
	}
	s.done()
	return nil
}

func (s *stream) trouble(err error) error {
	if context.Cause(s.streamCtx) == errStalled {
		err = status.Errorf(codes.DeadlineExceeded, "nothing came for %v", s.cache.stall)
	}
	return s.cache.trouble(s.ctx, what(s.blob), err)
}

// receive waits for the next message that has bytes, as long as something may be on its way.
func (s *stream) receive() {
	for len(s.chunk) == 0 && s.err == nil {
		stalled := time.AfterFunc(s.cache.stall, func() { s.cancel(errStalled) })
		m, err := s.chunks.Recv()
		stalled.Stop()
		s.chunk, s.err = m.GetData(), err
	}
}

// chunkReader is what a stream's messages hold, compressed or not.
type chunkReader struct{ *stream }

func (r chunkReader) Read(p []byte) (int, error) {
	r.receive()
	if len(r.chunk) == 0 {
		return 0, r.err
	}
	n := copy(p, r.chunk)
	r.chunk = r.chunk[n:]
	return n, nil
}
