package bes_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	buildpb "google.golang.org/genproto/googleapis/devtools/build/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/bazel-contrib/rules_img/internal/bes"
	"github.com/bazel-contrib/rules_img/proto/bep"
)

// pusher remembers what it was given, and fails for targets that are called so.
type pusher struct {
	hold  chan struct{} // if not nil, pushes wait until it is closed
	begun chan struct{} // if not nil, gets a value for each push
	more  string        // of the error of those that fail

	mu   sync.Mutex
	seen []string
}

func (p *pusher) Push(ctx context.Context, j bes.Job) (bes.Pushed, error) {
	if p.begun != nil {
		p.begun <- struct{}{}
	}
	if p.hold != nil {
		select {
		case <-p.hold:
		case <-ctx.Done():
			return bes.Pushed{}, ctx.Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, j.Target)
	if strings.Contains(j.Target, "bad") {
		return bes.Pushed{}, errors.New("denied" + p.more)
	}
	return bes.Pushed{Names: []string{"reg.test/" + j.Target}}, nil
}

func (p *pusher) targets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(slices.Values(p.seen))
}

// scene is a server in a state directory, until it is stopped.
type scene struct {
	*testing.T
	dir    string
	pusher *pusher
	wait   bool
	log    *lines
	queue  *bes.Queue
	server *bes.Server
	client buildpb.PublishBuildEventClient
	stop   func()
}

type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newScene(t *testing.T, wait bool) *scene {
	t.Helper()
	s := &scene{T: t, dir: t.TempDir(), pusher: new(pusher), wait: wait, log: new(lines)}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *scene) start() {
	s.Helper()
	log := slog.New(slog.NewTextHandler(s.log, nil))
	var err error
	s.queue, err = bes.OpenQueue(bes.QueueOptions{Dir: filepath.Join(s.dir, "jobs"), Pusher: s.pusher, Jobs: 2, Keep: 3, KeepFor: time.Hour, Log: log, Now: time.Now})
	must(s, err)
	s.server, err = bes.NewServer(bes.Options{Dir: filepath.Join(s.dir, "streams"), Queue: s.queue, Wait: s.wait, StreamAge: time.Hour, Log: log})
	must(s, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(s, err)
	server := grpc.NewServer(grpc.MaxRecvMsgSize(32 << 20))
	buildpb.RegisterPublishBuildEventServer(server, s.server)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { s.queue.Run(ctx) })
	all.Go(func() { server.Serve(listener) })
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithMaxHeaderListSize(8<<10)) // as Bazel
	must(s, err)
	s.client = buildpb.NewPublishBuildEventClient(conn)
	s.stop = func() { conn.Close(); cancel(); server.Stop(); all.Wait() }
}

// restart is what is left when the process dies and another is started.
func (s *scene) restart() {
	s.Helper()
	s.stop()
	s.start()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wire is a connection that Bazel has.
type wire struct {
	*scene
	buildpb.PublishBuildEvent_PublishBuildToolEventStreamClient
	invocation string
}

func (s *scene) connect(invocation string) wire {
	s.Helper()
	stream, err := s.client.PublishBuildToolEventStream(s.Context())
	must(s, err)
	return wire{s, stream, invocation}
}

// send sends an event; nil is the end of the build.
func (w wire) send(number int64, e *bep.BuildEvent) {
	w.Helper()
	event := &buildpb.BuildEvent{Event: &buildpb.BuildEvent_ComponentStreamFinished{ComponentStreamFinished: &buildpb.BuildEvent_BuildComponentStreamFinished{}}}
	if e != nil {
		a, err := anypb.New(e)
		must(w, err)
		event = &buildpb.BuildEvent{Event: &buildpb.BuildEvent_BazelEvent{BazelEvent: a}}
	}
	must(w, w.Send(w.request(number, event)))
}

func (w wire) request(number int64, e *buildpb.BuildEvent) *buildpb.PublishBuildToolEventStreamRequest {
	return &buildpb.PublishBuildToolEventStreamRequest{OrderedBuildEvent: &buildpb.OrderedBuildEvent{
		StreamId: &buildpb.StreamId{InvocationId: w.invocation}, SequenceNumber: number, Event: e,
	}}
}

// wantAcks receives acknowledgements of first to last.
func (w wire) wantAcks(first, last int64) {
	w.Helper()
	for n := first; n <= last; n++ {
		got, err := w.Recv()
		if err != nil {
			w.Fatalf("acknowledgement %d: %v\n%s", n, err, w.log)
		}
		if got.SequenceNumber != n {
			w.Fatalf("acknowledgement %d is of %d", n, got.SequenceNumber)
		}
	}
}

func (w wire) wantEnd(want codes.Code, text string) {
	w.Helper()
	w.CloseSend()
	_, err := w.Recv()
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if status.Code(err) != want || !strings.Contains(status.Convert(err).Message(), text) {
		w.Errorf("the stream ends with %v: want %v, %q", err, want, text)
	}
}

// whole sends all events of a build, and gets them acknowledged.
func (s *scene) whole(invocation string, events ...*bep.BuildEvent) {
	s.Helper()
	w := s.connect(invocation)
	for i, e := range append(events, nil) {
		w.send(int64(i+1), e)
	}
	w.wantAcks(1, int64(len(events)+1))
	w.wantEnd(codes.OK, "")
}

// jobs waits until all of the invocation's jobs have ended, and returns them as "target state".
func (s *scene) jobs(invocation string) (all []string) {
	s.Helper()
	ended, err := s.queue.Ended(s.Context(), invocation)
	must(s, err)
	for _, j := range ended {
		all = append(all, j.Target+" "+j.State)
	}
	slices.Sort(all)
	return all
}

func want(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func file(name string) *bep.File {
	return &bep.File{Name: name, File: &bep.File_Uri{Uri: "bytestream://cache.test/blobs/" + name + "/1"}}
}

func ids(names ...string) (all []*bep.BuildEventId_NamedSetOfFilesId) {
	for _, n := range names {
		all = append(all, &bep.BuildEventId_NamedSetOfFilesId{Id: n})
	}
	return all
}

func set(id string, below []string, files ...*bep.File) *bep.BuildEvent {
	return &bep.BuildEvent{
		Id:      &bep.BuildEventId{Id: &bep.BuildEventId_NamedSet{NamedSet: ids(id)[0]}},
		Payload: &bep.BuildEvent_NamedSetOfFiles{NamedSetOfFiles: &bep.NamedSetOfFiles{Files: files, FileSets: ids(below...)}},
	}
}

func group(name string, sets ...string) *bep.OutputGroup {
	return &bep.OutputGroup{Name: name, FileSets: ids(sets...)}
}

func completed(label string, groups ...*bep.OutputGroup) *bep.BuildEvent {
	return &bep.BuildEvent{
		Id:      &bep.BuildEventId{Id: &bep.BuildEventId_TargetCompleted{TargetCompleted: &bep.BuildEventId_TargetCompletedId{Label: label}}},
		Payload: &bep.BuildEvent_Completed{Completed: &bep.TargetComplete{Success: true, OutputGroup: groups}},
	}
}

// changed is an event with something else about it.
func changed(e *bep.BuildEvent, change func(*bep.BuildEvent)) *bep.BuildEvent {
	e = proto.Clone(e).(*bep.BuildEvent)
	change(e)
	return e
}
