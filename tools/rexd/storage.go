package main

import (
	"bytes"
	"context"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/bazelbuild/remote-apis/build/bazel/semver"
	"google.golang.org/grpc/status"
)

type capabilities struct {
	repb.UnimplementedCapabilitiesServer
}

func (capabilities) GetCapabilities(context.Context, *repb.GetCapabilitiesRequest) (*repb.ServerCapabilities, error) {
	functions := []function{repb.DigestFunction_SHA256, repb.DigestFunction_BLAKE3}
	return &repb.ServerCapabilities{
		CacheCapabilities: &repb.CacheCapabilities{
			DigestFunctions:               functions,
			ActionCacheUpdateCapabilities: &repb.ActionCacheUpdateCapabilities{UpdateEnabled: true},
			SymlinkAbsolutePathStrategy:   repb.SymlinkAbsolutePathStrategy_ALLOWED,
			MaxBatchTotalSizeBytes:        2 << 20,
		},
		ExecutionCapabilities: &repb.ExecutionCapabilities{DigestFunction: functions[0], DigestFunctions: functions, ExecEnabled: true},
		LowApiVersion:         &semver.SemVer{Major: 2},
		HighApiVersion:        &semver.SemVer{Major: 2, Minor: 11},
	}, nil
}

// storage is the part of the storage that needs no streams.
type storage struct {
	repb.UnimplementedContentAddressableStorageServer
	blobs *store
}

func (s *storage) FindMissingBlobs(_ context.Context, r *repb.FindMissingBlobsRequest) (*repb.FindMissingBlobsResponse, error) {
	out := &repb.FindMissingBlobsResponse{}
	for _, d := range r.BlobDigests {
		if !s.blobs.has(r.DigestFunction, d) {
			out.MissingBlobDigests = append(out.MissingBlobDigests, d)
		}
	}
	return out, nil
}

func (s *storage) BatchUpdateBlobs(_ context.Context, r *repb.BatchUpdateBlobsRequest) (*repb.BatchUpdateBlobsResponse, error) {
	out := &repb.BatchUpdateBlobsResponse{}
	for _, one := range r.Requests {
		err := s.blobs.putAs(r.DigestFunction, one.Digest, bytes.NewReader(one.Data))
		out.Responses = append(out.Responses, &repb.BatchUpdateBlobsResponse_Response{Digest: one.Digest, Status: status.Convert(err).Proto()})
	}
	return out, nil
}

func (s *storage) BatchReadBlobs(_ context.Context, r *repb.BatchReadBlobsRequest) (*repb.BatchReadBlobsResponse, error) {
	out := &repb.BatchReadBlobsResponse{}
	for _, d := range r.Digests {
		b, err := s.blobs.read(r.DigestFunction, d)
		out.Responses = append(out.Responses, &repb.BatchReadBlobsResponse_Response{Digest: d, Data: b, Status: status.Convert(err).Proto()})
	}
	return out, nil
}
