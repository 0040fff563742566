package bes

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	buildpb "google.golang.org/genproto/googleapis/devtools/build/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Options are what a [Server] needs.
type Options struct {
	// Dir keeps what streams have said that is still needed. It is made if it is not there.
	Dir   string
	Queue *Queue
	// Wait makes a stream end only when its pushes have, and fail if one of them does.
	Wait bool
	// StreamAge is how long a stream may say nothing, or be broken, before it is forgotten.
	StreamAge time.Duration
	Log       *slog.Logger
}

// Server is the service google.devtools.build.v1.PublishBuildEvent.
type Server struct {
	buildpb.UnimplementedPublishBuildEventServer
	Options

	mu   sync.Mutex
	open map[string]*connection // by the stream's name
}

// connection is what carries a stream at the moment.
type connection struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when nothing is done for it any more
}

// NewServer makes the directory.
func NewServer(o Options) (*Server, error) {
	return &Server{Options: o, open: map[string]*connection{}}, mkdir(o.Dir)
}

// PublishLifecycleEvent implements the service. That builds begin and end is known from their streams.
func (s *Server) PublishLifecycleEvent(context.Context, *buildpb.PublishLifecycleEventRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// PublishBuildToolEventStream implements the service: events come, and each is acknowledged, in their order.
func (s *Server) PublishBuildToolEventStream(rpc buildpb.PublishBuildEvent_PublishBuildToolEventStreamServer) error {
	first, err := rpc.Recv()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	id := first.GetOrderedBuildEvent().GetStreamId()
	name, err := fileName(id.GetInvocationId())
	if err != nil {
		return err
	}
	ctx, leave, err := s.enter(rpc.Context(), name)
	if err != nil {
		return err
	}
	defer leave()
	defer s.Queue.Hold(id.GetInvocationId())()
	st, err := s.stream(id.GetInvocationId(), name)
	if err != nil {
		return unavailable(err)
	}
	err = st.serve(ctx, rpc, first)
	if err != nil {
		s.Log.Warn("stream", "invocation", st.invocation, "error", err)
	}
	if err := st.close(); err != nil {
		s.Log.Error("stream", "invocation", st.invocation, "error", err)
	}
	return err
}

// fileName is what the files of an invocation are called.
func fileName(invocation string) (string, error) {
	odd := func(r rune) bool {
		return !(r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	}
	if invocation == "" || len(invocation) > 100 || strings.ContainsFunc(invocation, odd) {
		return "", status.Errorf(codes.InvalidArgument, "invocation ID %.200q: want 1 to 100 letters, digits, - and _", invocation)
	}
	return invocation, nil
}

// enter makes the connection the one of its stream. An earlier one, which is broken without our knowing, is ended first.
func (s *Server) enter(ctx context.Context, name string) (context.Context, func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	c := &connection{cancel, make(chan struct{})}
	s.mu.Lock()
	earlier := s.open[name]
	s.open[name] = c
	s.mu.Unlock()
	leave := func() {
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open[name] == c {
			delete(s.open, name)
		}
		close(c.done)
	}
	if earlier == nil {
		return ctx, leave, nil
	}
	earlier.cancel()
	select {
	case <-earlier.done:
		return ctx, leave, nil
	case <-ctx.Done():
		// Whoever waits for this one must not begin before the earlier one has ended.
		<-earlier.done
		leave()
		return nil, nil, ctx.Err()
	}
}

const (
	setsSuffix  = ".sets"
	endedSuffix = ".ended"
)

// stream opens a stream that begins, or one that goes on after its connection or this process broke.
func (s *Server) stream(invocation, name string) (*stream, error) {
	path := filepath.Join(s.Dir, name+setsSuffix)
	if err := os.Rename(s.endedPath(name), path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	sets, err := openSets(path)
	if err != nil {
		return nil, err
	}
	if err := syncDir(s.Dir); err != nil { // or the file's bytes would be on the disk without its name
		return nil, errors.Join(err, sets.close())
	}
	return &stream{Server: s, invocation: invocation, name: name, sets: sets}, nil
}

func (s *Server) endedPath(name string) string { return filepath.Join(s.Dir, name+endedSuffix) }

// endedAge is how long what an ended stream has said is kept, at most: for as long as Bazel may not have heard that it has ended.
const endedAge = 15 * time.Minute

// Sweep removes what is kept of streams that have ended, or that have been broken for too long.
func (s *Server) Sweep(now time.Time) error {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		name, suffix := cutSuffix(e.Name())
		age := s.StreamAge
		if suffix == endedSuffix {
			age = min(age, endedAge)
		}
		info, err := e.Info()
		if err != nil || suffix == "" || now.Sub(info.ModTime()) < age {
			continue
		}
		errs = append(errs, s.remove(name, suffix))
	}
	return errors.Join(errs...)
}

func cutSuffix(name string) (stem, suffix string) {
	for _, suffix := range []string{setsSuffix, endedSuffix} {
		if stem, ok := strings.CutSuffix(name, suffix); ok {
			return stem, suffix
		}
	}
	return name, ""
}

// remove removes the file of a stream that has no connection.
func (s *Server) remove(name, suffix string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[name] != nil {
		return nil
	}
	return os.Remove(filepath.Join(s.Dir, name+suffix))
}

// unavailable is the answer for trouble of ours, after which Bazel tries again.
func unavailable(err error) error { return status.Error(codes.Unavailable, err.Error()) }
