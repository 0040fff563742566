package bes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/sync/semaphore"
	buildpb "google.golang.org/genproto/googleapis/devtools/build/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/bazel-contrib/rules_img/proto/bep"
)

// stream is what one build says, over one connection or, when that breaks, several.
type stream struct {
	*Server
	invocation string
	name       string // of its files
	sets       *sets
	ended      bool
}

type (
	rpc     = buildpb.PublishBuildEvent_PublishBuildToolEventStreamServer
	request = buildpb.PublishBuildToolEventStreamRequest
)

// batch is how many events are written to the disk together, if so many are waiting; room is for the bytes of those that are, and of those
// that come meanwhile.
const batch, room = 256, 4 << 20

// serve takes events until the client has no more.
func (s *stream) serve(ctx context.Context, rpc rpc, first *request) error {
	left := semaphore.NewWeighted(room)
	in, failed := receive(ctx, rpc, first, left)
	for {
		requests, err := next(ctx, in)
		if err != nil {
			return err
		}
		if len(requests) == 0 {
			return <-failed
		}
		if err := s.take(ctx, rpc, requests); err != nil {
			return err
		}
		for _, r := range requests {
			left.Release(weight(r))
		}
	}
}

// weight is what a request takes of the room: all of it, if it is larger.
func weight(r *request) int64 {
	return min(room, int64(1024+len(r.GetOrderedBuildEvent().GetEvent().GetBazelEvent().GetValue())))
}

// receive returns what comes, and then why nothing more does: nil when the client has no more. Its goroutine ends with the call that it serves,
// which nothing else can make it do.
func receive(ctx context.Context, rpc rpc, first *request, left *semaphore.Weighted) (<-chan *request, <-chan error) {
	in, failed := make(chan *request, batch), make(chan error, 1)
	go func() {
		defer close(in)
		var err error
		for r := first; err == nil; r, err = rpc.Recv() {
			if err := left.Acquire(ctx, weight(r)); err != nil {
				failed <- err
				return
			}
			select {
			case in <- r:
			case <-ctx.Done():
				failed <- ctx.Err()
				return
			}
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		failed <- err
	}()
	return in, failed
}

// next waits for one request and takes those that are waiting with it.
func next(ctx context.Context, in <-chan *request) (all []*request, err error) {
	select {
	case r, ok := <-in:
		if !ok {
			return nil, nil
		}
		all = append(all, r)
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	for len(all) < batch {
		select {
		case r, ok := <-in:
			if !ok {
				return all, nil
			}
			all = append(all, r)
		default:
			return all, nil
		}
	}
	return all, nil
}

// take accepts events, and acknowledges them when all that they ask for is on the disk.
func (s *stream) take(ctx context.Context, rpc rpc, requests []*request) error {
	for _, r := range requests {
		if err := s.accept(r.GetOrderedBuildEvent()); err != nil {
			return err
		}
	}
	if err := s.sets.sync(); err != nil {
		return unavailable(err)
	}
	for _, r := range requests {
		e := r.GetOrderedBuildEvent()
		if e.GetEvent().GetComponentStreamFinished() != nil {
			if err := s.finish(ctx); err != nil {
				return err
			}
		}
		ack := &buildpb.PublishBuildToolEventStreamResponse{StreamId: e.GetStreamId(), SequenceNumber: e.GetSequenceNumber()}
		if err := rpc.Send(ack); err != nil {
			return err
		}
	}
	return nil
}

func (s *stream) accept(o *buildpb.OrderedBuildEvent) error {
	if id := o.GetStreamId().GetInvocationId(); id != s.invocation {
		return status.Errorf(codes.InvalidArgument, "event %d is of the invocation %.100q: the stream is of %s", o.GetSequenceNumber(), id, s.invocation)
	}
	e, err := decode(o.GetEvent().GetBazelEvent())
	if err != nil {
		return status.Errorf(codes.InvalidArgument, "event %d: %v", o.GetSequenceNumber(), err)
	}
	switch {
	case e.GetNamedSetOfFiles() != nil:
		err = s.sets.add(e)
	case e.GetCompleted() != nil:
		err = s.completed(e.GetId().GetTargetCompleted(), e.GetCompleted())
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// decode reads what is said here of an event of Bazel; nil is one of another tool.
func decode(a *anypb.Any) (*bep.BuildEvent, error) {
	e := new(bep.BuildEvent)
	if !a.MessageIs(e) {
		return nil, nil
	}
	return e, proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(a.GetValue(), e)
}

// completed accepts the plans of a target. That its plans are not to be found is what became of it, and stops no other.
func (s *stream) completed(id *bep.BuildEventId_TargetCompletedId, completed *bep.TargetComplete) error {
	jobs, err := plansOf(s.invocation, id, completed, s.sets)
	if errors.Is(err, errLost) {
		return s.Queue.Lose(Job{Invocation: s.invocation, Target: id.GetLabel(), Plan: File{Contents: []byte(id.GetLabel())}}, err)
	}
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if err := s.Queue.Add(j); err != nil {
			return err
		}
	}
	return nil
}

// finish ends the stream: after its pushes, if they are waited for.
func (s *stream) finish(ctx context.Context) error {
	s.ended = true
	if s.Wait {
		jobs, err := s.Queue.Ended(ctx, s.invocation)
		if err != nil {
			return status.FromContextError(err).Err()
		}
		if err := failures(jobs); err != nil {
			return err
		}
	}
	return nil
}

// close closes the stream's file, and calls it what it is.
func (s *stream) close() error {
	if err := s.sets.close(); err != nil || !s.ended {
		return err
	}
	path, now := s.endedPath(s.name), s.Queue.Now()
	return errors.Join(os.Rename(filepath.Join(s.Dir, s.name+setsSuffix), path), os.Chtimes(path, now, now))
}

// mostFailures is how many failures a stream ends with, and mostText how long the text of all may be; all are in the log, as a whole. What ends a
// stream is a header, of which Bazel takes 8 KiB, or it would try again and show none of it.
const mostFailures, mostText = 10, 6 << 10

// failures is the error that Bazel shows, and does not try again after, when a push failed.
func failures(jobs []Job) error {
	var said []string
	for _, j := range jobs {
		if j.State == Failed {
			said = append(said, fmt.Sprintf("%s: %s", j.Target, j.Error))
		}
	}
	if len(said) == 0 {
		return nil
	}
	text := fmt.Sprintf("%d of %d plans could not be pushed: ", len(said), len(jobs))
	shown := said[:min(len(said), mostFailures)]
	for i := range shown {
		shown[i] = cut(shown[i], mostText/len(shown))
	}
	if more := len(said) - len(shown); more > 0 {
		shown = append(slices.Clip(shown), fmt.Sprintf("and %d more", more))
	}
	return status.Error(codes.FailedPrecondition, text+strings.Join(shown, "; "))
}

// cut leaves out the end of what is longer than n in a header, which has %XX for each byte that is not plain.
func cut(s string, n int) string {
	for i, r := range s {
		if r < ' ' || r > '~' || r == '%' {
			n -= 2 * utf8.RuneLen(r)
		}
		if n -= utf8.RuneLen(r); n < 0 {
			return s[:i] + "..., see the log of the server"
		}
	}
	return s
}
