package main

import (
	"io"
	"slices"
	"strconv"
	"strings"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// streams are blobs that are too large for one message.
type streams struct {
	bytestream.UnimplementedByteStreamServer
	blobs *store
}

// resource reads [INSTANCE/][uploads/UUID/]blobs/[blake3/]HASH/SIZE.
func resource(name string) (function, *repb.Digest, error) {
	parts := strings.Split(name, "/")
	parts = parts[slices.Index(parts, "blobs")+1:]
	f := repb.DigestFunction_SHA256
	if parts[0] == "blake3" {
		f, parts = repb.DigestFunction_BLAKE3, parts[1:]
	}
	if len(parts) >= 2 {
		if size, err := strconv.ParseInt(parts[1], 10, 64); err == nil {
			return f, &repb.Digest{Hash: parts[0], SizeBytes: size}, nil
		}
	}
	return f, nil, status.Errorf(codes.InvalidArgument, "%q names no blob", name)
}

func (s *streams) Read(r *bytestream.ReadRequest, to bytestream.ByteStream_ReadServer) error {
	f, d, err := resource(r.ResourceName)
	if err != nil {
		return err
	}
	file, err := s.blobs.open(f, d)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Seek(r.ReadOffset, io.SeekStart); err != nil {
		return err
	}
	for buf := make([]byte, 1<<20); ; {
		n, err := file.Read(buf)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := to.Send(&bytestream.ReadResponse{Data: buf[:n]}); err != nil {
			return err
		}
	}
}

func (s *streams) Write(from bytestream.ByteStream_WriteServer) error {
	first, err := from.Recv()
	if err != nil {
		return err
	}
	f, d, err := resource(first.ResourceName)
	if err != nil {
		return err
	}
	if err := s.blobs.putAs(f, d, &upload{from: from, data: first.Data, last: first.FinishWrite}); err != nil {
		return err
	}
	return from.SendAndClose(&bytestream.WriteResponse{CommittedSize: d.SizeBytes})
}

// upload is what a client sends.
type upload struct {
	from bytestream.ByteStream_WriteServer
	data []byte
	last bool
}

func (u *upload) Read(p []byte) (int, error) {
	for len(u.data) == 0 {
		if u.last {
			return 0, io.EOF
		}
		r, err := u.from.Recv()
		if err != nil {
			return 0, err
		}
		u.data, u.last = r.Data, r.FinishWrite
	}
	n := copy(p, u.data)
	u.data = u.data[n:]
	return n, nil
}
