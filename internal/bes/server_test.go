package bes_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	buildpb "google.golang.org/genproto/googleapis/devtools/build/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/bazel-contrib/rules_img/proto/bep"
)

var (
	planSet = set("0", nil, file("a.plan.json"))
	badSet  = set("1", nil, file("b.plan.json"))
	good    = completed("//:good", group("default", "0"))
	bad     = completed("//:bad", group("default", "1"))
)

// Sets that were acknowledged are not sent again, neither to this process nor to the next.
func TestAStreamGoesOnWhereItBroke(t *testing.T) {
	for name, trouble := range map[string]func(*scene){"the connection broke": func(*scene) {}, "the server died": (*scene).restart} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, true)
			first := s.connect("build")
			first.send(1, planSet)
			first.send(2, badSet)
			first.send(3, good)
			first.wantAcks(1, 3)
			trouble(s)

			second := s.connect("build") // which did not hear the last acknowledgement
			second.send(3, good)
			second.send(4, bad)
			second.wantAcks(3, 4)
			want(t, s.jobs("build"), "//:bad failed", "//:good done")
			want(t, s.pusher.targets(), "//:bad", "//:good")
			second.send(5, nil)
			second.wantEnd(codes.FailedPrecondition, "1 of 2 plans could not be pushed: //:bad: denied")
		})
	}
}

func TestTheEndIsAcknowledgedWhenAllIsPushed(t *testing.T) {
	s := newScene(t, true)
	s.pusher.hold = make(chan struct{})
	w := s.connect("build")
	w.send(1, planSet)
	w.send(2, good)
	w.wantAcks(1, 2)
	w.send(3, nil)
	acknowledged := make(chan struct{})
	go func() { defer close(acknowledged); w.wantAcks(3, 3) }()
	select {
	case <-acknowledged:
		t.Error("the end is acknowledged before the push")
	case <-time.After(50 * time.Millisecond):
	}
	close(s.pusher.hold)
	<-acknowledged
	want(t, s.pusher.targets(), "//:good")
	w.wantEnd(codes.OK, "")
}

// Bazel takes 8 KiB of headers, which is what the end of a stream is.
func TestManyLongErrorsAreNotTooMuchForBazel(t *testing.T) {
	for _, n := range []int{1, 20} {
		s := newScene(t, true)
		s.pusher.more = strings.Repeat(" 100% „denied”\n", 1000)
		var events []*bep.BuildEvent
		for i := range n {
			events = append(events, set(fmt.Sprint(i), nil, file(fmt.Sprint(i, ".plan.json"))), completed(fmt.Sprint("//:bad", i), group("default", fmt.Sprint(i))))
		}
		w := s.connect("build")
		for i, e := range append(events, nil) {
			w.send(int64(i+1), e)
		}
		w.wantAcks(1, int64(len(events)))
		w.wantEnd(codes.FailedPrecondition, fmt.Sprintf("%d of %d plans could not be pushed: //:bad0: denied 100%%", n, n))
	}
}

// Of a long build on a busy server, too: what failed early is known at its end.
func TestABuildThatGoesOnIsNotForgotten(t *testing.T) {
	s := newScene(t, true)
	s.queue.Keep, s.queue.KeepFor = 0, 0
	w := s.connect("build")
	for i, e := range []*bep.BuildEvent{planSet, badSet, bad, good} {
		w.send(int64(i+1), e)
	}
	w.wantAcks(1, 4)
	want(t, s.jobs("build"), "//:bad failed", "//:good done")
	s.whole("other", planSet, good)
	w.send(5, nil)
	w.wantEnd(codes.FailedPrecondition, "1 of 2 plans could not be pushed: //:bad: denied")
	s.whole("another", planSet, good)
	want(t, s.jobs("build"))
}

func TestInTheBackgroundNobodyWaits(t *testing.T) {
	s := newScene(t, false)
	s.pusher.hold = make(chan struct{})
	s.whole("build", planSet, badSet, good, bad)
	want(t, s.pusher.targets())
	close(s.pusher.hold)
	want(t, s.jobs("build"), "//:bad failed", "//:good done")
}

// The last acknowledgement may be lost: the end is sent again, and what came before it.
func TestAnEndThatWasNotHeardIsAcknowledgedAgain(t *testing.T) {
	s := newScene(t, true)
	s.whole("build", planSet, good)
	w := s.connect("build")
	w.send(2, good)
	w.send(3, nil)
	w.wantAcks(2, 3)
	w.wantEnd(codes.OK, "")
	want(t, s.jobs("build"), "//:good done")
	want(t, s.pusher.targets(), "//:good")
}

func TestEventsAreLargeOrMany(t *testing.T) {
	s := newScene(t, true)
	events := []*bep.BuildEvent{planSet}
	for i := range 1000 {
		events = append(events, set(fmt.Sprint("small", i), nil, file("x")))
	}
	large := set("large", nil, file(strings.Repeat("x", 5<<20)))
	s.whole("build", append(events, large, large, good)...)
	want(t, s.jobs("build"), "//:good done")
}

func TestTheSamePlanOfAnotherBuildIsPushedAgain(t *testing.T) {
	s := newScene(t, true)
	s.whole("one", planSet, good)
	s.whole("two", planSet, good)
	want(t, s.pusher.targets(), "//:good", "//:good")
}

func TestStreamsThatMakeNoSenseAreRefused(t *testing.T) {
	s := newScene(t, false)
	for _, invocation := range []string{"", "../x", "a/b", string(make([]byte, 200))} {
		w := s.connect(invocation)
		w.send(1, good)
		w.wantEnd(codes.InvalidArgument, "invocation ID")
	}

	w := s.connect("build")
	w.send(1, planSet)
	w.wantAcks(1, 1)
	w.invocation = "another"
	w.send(2, good)
	w.wantEnd(codes.InvalidArgument, "event 2 is of the invocation \"another\"")

	w = s.connect("broken")
	a := &anypb.Any{TypeUrl: "type.googleapis.com/build_event_stream.BuildEvent", Value: []byte{0xff}}
	must(t, w.Send(w.request(1, &buildpb.BuildEvent{Event: &buildpb.BuildEvent_BazelEvent{BazelEvent: a}})))
	w.wantEnd(codes.InvalidArgument, "event 1")
	want(t, s.jobs("build"))
}

func TestWhatIsOfNoUseIsSwept(t *testing.T) {
	s := newScene(t, false)
	s.whole("ended", planSet)
	broken, open := s.connect("broken"), s.connect("open")
	for _, w := range []wire{broken, open} {
		w.send(1, planSet)
		w.wantAcks(1, 1)
	}
	broken.wantEnd(codes.OK, "")
	for _, c := range []struct {
		later time.Duration
		left  []string
	}{
		{0, []string{"broken.sets", "ended.ended", "open.sets"}},
		{20 * time.Minute, []string{"broken.sets", "open.sets"}},
		{2 * time.Hour, []string{"open.sets"}},
	} {
		must(t, s.server.Sweep(time.Now().Add(c.later)))
		want(t, files(t, filepath.Join(s.dir, "streams")), c.left...)
	}
}

func TestWhatHasEndedIsKeptNoLongerThanWhatBrokeOff(t *testing.T) {
	s := newScene(t, false)
	s.server.StreamAge = time.Minute
	s.whole("ended", planSet)
	must(t, s.server.Sweep(time.Now().Add(30*time.Second)))
	want(t, files(t, filepath.Join(s.dir, "streams")), "ended.ended")
	must(t, s.server.Sweep(time.Now().Add(2*time.Minute)))
	want(t, files(t, filepath.Join(s.dir, "streams")))
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
