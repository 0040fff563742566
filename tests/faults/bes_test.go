package faults_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	buildpb "google.golang.org/genproto/googleapis/devtools/build/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/bazel-contrib/rules_img/internal/bes"
	"github.com/bazel-contrib/rules_img/proto/bep"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// pushed remembers the targets that were to be pushed.
type pushed struct {
	mu   sync.Mutex
	seen []string
}

func (p *pushed) Push(_ context.Context, j bes.Job) (bes.Pushed, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, j.Target)
	return bes.Pushed{}, nil
}

// serveBES runs a build event service with its state in a folder, and returns its address.
func serveBES(t *testing.T, state string, p bes.Pusher) (address string) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	queue, err := bes.OpenQueue(bes.QueueOptions{Dir: filepath.Join(state, "jobs"), Pusher: p, Jobs: 2, Keep: 1000, KeepFor: time.Hour, Log: log, Now: time.Now})
	bazeltest.Must(t, err)
	service, err := bes.NewServer(bes.Options{Dir: filepath.Join(state, "streams"), Queue: queue, Wait: true, StreamAge: time.Hour, Log: log})
	bazeltest.Must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	bazeltest.Must(t, err)
	server := grpc.NewServer()
	buildpb.RegisterPublishBuildEventServer(server, service)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { queue.Run(ctx) })
	all.Go(func() { server.Serve(l) })
	t.Cleanup(func() { cancel(); server.Stop(); all.Wait() })
	return l.Addr().String()
}

func dial(t *testing.T, address string) buildpb.PublishBuildEventClient {
	t.Helper()
	return buildpb.NewPublishBuildEventClient(connect(t, address))
}

// connect returns a connection that is made again as soon as it can be.
func connect(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: time.Minute, Backoff: backoff.Config{BaseDelay: time.Millisecond, MaxDelay: 10 * time.Millisecond}}))
	bazeltest.Must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// build sends the events of a build, each of whose targets has a plan, as Bazel does: what was not acknowledged is sent again.
type build struct {
	invocation   string
	requests     []*buildpb.PublishBuildToolEventStreamRequest
	acknowledged int64
}

// newBuild has plans that the cache does not have, which nothing here is asked for.
func newBuild(t *testing.T, invocation string, targets int) *build {
	t.Helper()
	return newBuildOf(t, invocation, targets, func(i int) (label, uri string) {
		return fmt.Sprint("//:", invocation, i), fmt.Sprintf("bytestream://cache.test/blobs/%d/1", i)
	})
}

// newBuildOf has targets of these labels, with the plans that are at the URIs.
func newBuildOf(t *testing.T, invocation string, targets int, target func(int) (label, uri string)) *build {
	t.Helper()
	b := &build{invocation: invocation}
	add := func(e *buildpb.BuildEvent) {
		b.requests = append(b.requests, &buildpb.PublishBuildToolEventStreamRequest{OrderedBuildEvent: &buildpb.OrderedBuildEvent{
			StreamId: &buildpb.StreamId{InvocationId: invocation}, SequenceNumber: int64(len(b.requests) + 1), Event: e,
		}})
	}
	addBazel := func(e *bep.BuildEvent) {
		a, err := anypb.New(e)
		bazeltest.Must(t, err)
		add(&buildpb.BuildEvent{Event: &buildpb.BuildEvent_BazelEvent{BazelEvent: a}})
	}
	for i := range targets {
		set := &bep.BuildEventId_NamedSetOfFilesId{Id: fmt.Sprint(i)}
		label, uri := target(i)
		plan := &bep.File{Name: "app.plan.json", File: &bep.File_Uri{Uri: uri}}
		addBazel(&bep.BuildEvent{
			Id:      &bep.BuildEventId{Id: &bep.BuildEventId_NamedSet{NamedSet: set}},
			Payload: &bep.BuildEvent_NamedSetOfFiles{NamedSetOfFiles: &bep.NamedSetOfFiles{Files: []*bep.File{plan}}},
		})
		addBazel(&bep.BuildEvent{
			Id: &bep.BuildEventId{Id: &bep.BuildEventId_TargetCompleted{TargetCompleted: &bep.BuildEventId_TargetCompletedId{Label: label}}},
			Payload: &bep.BuildEvent_Completed{Completed: &bep.TargetComplete{
				Success: true, OutputGroup: []*bep.OutputGroup{{Name: "default", FileSets: []*bep.BuildEventId_NamedSetOfFilesId{set}}},
			}},
		})
	}
	add(&buildpb.BuildEvent{Event: &buildpb.BuildEvent_ComponentStreamFinished{ComponentStreamFinished: &buildpb.BuildEvent_BuildComponentStreamFinished{}}})
	return b
}

// send sends over one stream what is left.
func (b *build) send(ctx context.Context, client buildpb.PublishBuildEventClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.PublishBuildToolEventStream(ctx)
	if err != nil {
		return err
	}
	for _, r := range b.requests[b.acknowledged:] {
		if stream.Send(r) != nil {
			break // Recv says why
		}
	}
	stream.CloseSend()
	for {
		ack, err := stream.Recv()
		if errors.Is(err, io.EOF) && b.acknowledged < int64(len(b.requests)) {
			return io.ErrUnexpectedEOF // gRPC has opened the stream again, after Send had given up
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		b.acknowledged = ack.SequenceNumber
	}
}

// TestBuildEventsAreCut cuts a stream in many places: each target's plan is pushed, and pushed once.
func TestBuildEventsAreCut(t *testing.T) {
	t.Parallel()
	const targets = 40
	p := new(pushed)
	proxy := bazeltest.StartProxy(t, serveBES(t, t.TempDir(), p))
	run := func(name string) {
		t.Helper()
		client, err := dial(t, proxy.Address), error(nil)
		b := newBuild(t, name, targets)
		for range 20 {
			if err = b.send(t.Context(), client); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil || b.acknowledged != int64(len(b.requests)) {
			t.Errorf("%s: %d of %d events are acknowledged, %v", name, b.acknowledged, len(b.requests), err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		slices.Sort(p.seen)
		if once := len(slices.Compact(slices.Clone(p.seen))); once != targets || len(p.seen) != targets {
			t.Errorf("%s: %d targets are pushed %d times: want %d once", name, once, len(p.seen), targets)
		}
		p.seen = nil
	}
	run("whole")
	for up, size := range map[bool]int64{true: proxy.Up(), false: proxy.Down()} {
		for i := range int64(positions) {
			proxy.CutAfter(size*i/positions, up, false)
			run(fmt.Sprintf("cut-%d-%v", i, up))
		}
	}
}
