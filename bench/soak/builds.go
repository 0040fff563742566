package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	buildpb "google.golang.org/genproto/googleapis/devtools/build/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/bazel-contrib/rules_img/bench/scene"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/proto/bep"
)

// build builds an image, which the service pushes.
func (w *world) build(ctx context.Context, s *slot, image scene.Image, bytes *mem.Store) error {
	events, err := w.built(ctx, w.plan(s, image, "bes"), bytes)
	if err != nil {
		return err
	}
	return w.tell(ctx, rand.Text(), 0, events)
}

// breakBuild is a build whose connection breaks after the first event, and that goes on over another.
func (w *world) breakBuild(ctx context.Context, s *slot, image scene.Image, bytes *mem.Store) error {
	events, err := w.built(ctx, w.plan(s, image, "bes"), bytes)
	if err != nil {
		return err
	}
	invocation := rand.Text()
	if err := w.tell(ctx, invocation, 0, events[:1]); err != nil {
		return err
	}
	return w.tell(ctx, invocation, 1, events[1:])
}

// leaveBuild is one that does not go on.
func (w *world) leaveBuild(ctx context.Context, s *slot) error {
	return w.tell(ctx, rand.Text(), 0, completed("bytestream://cache/blobs/" + strings.Repeat("0", 64) + "/1")[:1])
}

// failBuild is a build that pushes to where the service may not.
func (w *world) failBuild(ctx context.Context, s *slot) error {
	image, bytes, err := w.image()
	if err != nil {
		return err
	}
	plan := w.plan(s, image, "bes")
	plan.Operations[0].Registry = "elsewhere.test"
	events, err := w.built(ctx, plan, bytes)
	if err != nil {
		return err
	}
	err = w.tell(ctx, rand.Text(), 0, events)
	if status.Code(err) != codes.FailedPrecondition {
		return fmt.Errorf("a build that pushes elsewhere ends with %v", err)
	}
	return nil
}

// built uploads what a build has made, and returns its events, the end last.
func (w *world) built(ctx context.Context, p deploy.Plan, bytes *mem.Store) ([]*buildpb.BuildEvent, error) {
	var blobs []oci.Descriptor
	for _, b := range p.Blobs {
		blobs = append(blobs, b.Descriptor)
	}
	if err := w.upload(ctx, bytes, blobs...); err != nil {
		return nil, err
	}
	b, err := p.Encode()
	if err != nil {
		return nil, err
	}
	var plan mem.Store
	d := plan.Add("application/json", b)
	if err := w.upload(ctx, &plan, d); err != nil {
		return nil, err
	}
	return completed(fmt.Sprintf("bytestream://cache/blobs/%s/%d", d.Digest.Encoded(), d.Size)), nil
}

// upload puts blobs into the cache.
func (w *world) upload(ctx context.Context, from *mem.Store, blobs ...oci.Descriptor) error {
	in := new(repb.BatchUpdateBlobsRequest)
	for _, d := range blobs {
		r, err := from.Open(ctx, d)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		in.Requests = append(in.Requests, &repb.BatchUpdateBlobsRequest_Request{Digest: &repb.Digest{Hash: d.Digest.Encoded(), SizeBytes: d.Size}, Data: b})
	}
	out, err := w.contents.BatchUpdateBlobs(ctx, in)
	for _, r := range out.GetResponses() {
		err = errors.Join(err, status.ErrorProto(r.GetStatus()))
	}
	return err
}

// completed are the events of a build of one target with a plan.
func completed(plan string) []*buildpb.BuildEvent {
	id := &bep.BuildEventId_NamedSetOfFilesId{Id: "0"}
	set := &bep.BuildEvent{
		Id: &bep.BuildEventId{Id: &bep.BuildEventId_NamedSet{NamedSet: id}},
		Payload: &bep.BuildEvent_NamedSetOfFiles{NamedSetOfFiles: &bep.NamedSetOfFiles{
			Files: []*bep.File{{Name: "soak/push.plan.json", File: &bep.File_Uri{Uri: plan}}},
		}},
	}
	target := &bep.BuildEvent{
		Id: &bep.BuildEventId{Id: &bep.BuildEventId_TargetCompleted{TargetCompleted: &bep.BuildEventId_TargetCompletedId{Label: "//soak:push"}}},
		Payload: &bep.BuildEvent_Completed{Completed: &bep.TargetComplete{
			Success: true, OutputGroup: []*bep.OutputGroup{{Name: "default", FileSets: []*bep.BuildEventId_NamedSetOfFilesId{id}}},
		}},
	}
	end := &buildpb.BuildEvent{Event: &buildpb.BuildEvent_ComponentStreamFinished{ComponentStreamFinished: new(buildpb.BuildEvent_BuildComponentStreamFinished)}}
	return []*buildpb.BuildEvent{event(set), event(target), end}
}

func event(e *bep.BuildEvent) *buildpb.BuildEvent {
	a, err := anypb.New(e)
	if err != nil {
		panic(err) // it was made here
	}
	return &buildpb.BuildEvent{Event: &buildpb.BuildEvent_BazelEvent{BazelEvent: a}}
}

// tell sends events over a connection of their own, as Bazel does, and waits for each to be acknowledged. If the last is not the end of the build,
// the connection is cut.
func (w *world) tell(ctx context.Context, invocation string, from int, events []*buildpb.BuildEvent) error {
	conn, err := grpc.NewClient(w.events, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := buildpb.NewPublishBuildEventClient(conn).PublishBuildToolEventStream(ctx)
	if err != nil {
		return err
	}
	for i, e := range events {
		request := &buildpb.PublishBuildToolEventStreamRequest{OrderedBuildEvent: &buildpb.OrderedBuildEvent{
			StreamId: &buildpb.StreamId{InvocationId: invocation}, SequenceNumber: int64(from + i + 1), Event: e,
		}}
		if err := stream.Send(request); err != nil {
			return err
		}
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
	if events[len(events)-1].GetComponentStreamFinished() == nil {
		return nil
	}
	stream.CloseSend()
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
