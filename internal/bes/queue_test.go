package bes_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bazel-contrib/rules_img/internal/bes"
)

func TestAcceptedWorkIsResumed(t *testing.T) {
	s := newScene(t, false)
	s.pusher.hold = make(chan struct{})
	s.whole("build", planSet, badSet, good, bad)
	for _, name := range []string{"broken.json", ".new-1"} {
		must(t, os.WriteFile(filepath.Join(s.dir, "jobs", name), []byte("{"), 0o600))
	}
	s.restart()
	if _, err := os.Stat(filepath.Join(s.dir, "jobs", ".new-1")); err == nil {
		t.Error("what was being written is still there")
	}
	want(t, s.pusher.targets())
	close(s.pusher.hold)
	want(t, s.jobs("build"), "//:bad failed", "//:good done")
	for _, text := range []string{"msg=lost", "broken.json", "msg=resumed target=//:good"} {
		if !strings.Contains(s.log.String(), text) {
			t.Errorf("the log does not say %q:\n%s", text, s.log)
		}
	}
	s.restart()
	want(t, s.jobs("build"), "//:bad failed", "//:good done")
	want(t, s.pusher.targets(), "//:bad", "//:good")
}

func TestWhatBecameOfAJobIsInItsFile(t *testing.T) {
	s := newScene(t, true)
	s.whole("build", planSet, good)
	jobs, broken, err := bes.ReadJobs(filepath.Join(s.dir, "jobs"))
	must(t, err)
	if len(jobs) != 1 || len(broken) > 0 || jobs[0].State != bes.Done || jobs[0].Names[0] != "reg.test///:good" || jobs[0].Ended.IsZero() {
		t.Errorf("jobs are %+v, %v", jobs, broken)
	}
}

func TestTheLatestJobsAreRemembered(t *testing.T) {
	now := time.Now()
	q, err := bes.OpenQueue(bes.QueueOptions{
		Dir: t.TempDir(), Pusher: new(pusher), Jobs: 1, Keep: 3, KeepFor: time.Hour, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: func() time.Time { return now },
	})
	must(t, err)
	lose := func(from, to int) {
		for i := from; i < to; i++ {
			must(t, q.Lose(bes.Job{Invocation: "build", Plan: bes.File{URI: fmt.Sprint(i)}}, io.EOF))
		}
	}
	remembered := func() int {
		jobs, err := q.Ended(t.Context(), "build")
		must(t, err)
		if n := len(files(t, q.Dir)); n != len(jobs) {
			t.Errorf("%d files for %d jobs", n, len(jobs))
		}
		return len(jobs)
	}
	lose(0, 10)
	if n := remembered(); n != 10 {
		t.Errorf("%d jobs of the last hour are remembered", n)
	}
	now = now.Add(2 * time.Hour)
	lose(10, 11)
	if n := remembered(); n != 3 {
		t.Errorf("%d jobs are remembered: want the latest 3", n)
	}
}

// What could not be written was not acknowledged, and comes again.
func TestALossIsWrittenDownOrNotTaken(t *testing.T) {
	q, err := bes.OpenQueue(bes.QueueOptions{
		Dir: filepath.Join(t.TempDir(), "jobs"), Pusher: new(pusher), Jobs: 1, Keep: 3, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now,
	})
	must(t, err)
	must(t, os.Remove(q.Dir))
	lost := bes.Job{Invocation: "build", Plan: bes.File{URI: "x"}}
	if err := q.Lose(lost, io.EOF); err == nil {
		t.Error("it is taken without a directory")
	}
	must(t, os.Mkdir(q.Dir, 0o700))
	must(t, q.Lose(lost, io.EOF))
	if n := len(files(t, q.Dir)); n != 1 {
		t.Errorf("there are %d files: want that of the job", n)
	}
}

// talker says more than anybody reads, of what a client put into a plan.
type talker struct{}

func (talker) Push(context.Context, bes.Job) (bes.Pushed, error) {
	long := strings.Repeat("é", 1<<20)
	return bes.Pushed{Notes: append(make([]string, 100_000), long)}, errors.New(long)
}

// Jobs are remembered by the thousand, in memory and in the log.
func TestWhatIsSaidOfAJobIsShort(t *testing.T) {
	var log bytes.Buffer
	q, err := bes.OpenQueue(bes.QueueOptions{Dir: t.TempDir(), Pusher: talker{}, Jobs: 1, Keep: 3, Log: slog.New(slog.NewTextHandler(&log, nil)), Now: time.Now})
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan bool)
	go func() { defer close(ended); q.Run(ctx) }()
	must(t, q.Add(bes.Job{Invocation: "build", Plan: bes.File{URI: "x"}}))
	jobs, err := q.Ended(ctx, "build")
	must(t, err)
	stop()
	<-ended
	if len(jobs) != 1 || !strings.HasSuffix(jobs[0].Error, "é... and 2080768 bytes more") || len(jobs[0].Notes) != 101 || jobs[0].Notes[100] != "and 99901 more" {
		t.Fatalf("%d jobs with %d notes", len(jobs), len(jobs[0].Notes))
	}
	if info, err := os.Stat(filepath.Join(q.Dir, jobs[0].ID+".json")); err != nil || info.Size() > 100_000 || log.Len() > 100_000 {
		t.Errorf("%d bytes are in the file, %v, and %d in the log", info.Size(), err, log.Len())
	}
}

// What is under way when the server is told to stop may end, and is not done again.
func TestAPushMayEndWhenTheServerStops(t *testing.T) {
	s := newScene(t, false)
	s.pusher.hold, s.pusher.begun = make(chan struct{}), make(chan struct{}, 1)
	s.queue.Grace = time.Minute
	s.whole("build", planSet, good)
	<-s.pusher.begun
	time.AfterFunc(50*time.Millisecond, func() { close(s.pusher.hold) })
	s.restart()
	want(t, s.jobs("build"), "//:good done")
	want(t, s.pusher.targets(), "//:good")
}

func TestRunEndsWithItsContext(t *testing.T) {
	s := newScene(t, false)
	s.pusher.hold = make(chan struct{})
	s.whole("build", planSet, good)
	s.stop() // returns
	s.start()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.queue.Ended(ctx, "build"); err == nil {
		t.Error("it does not wait for what is held")
	}
}

// The order of builds, and what is forgotten, do not go by a clock that was wrong for a while.
func TestClocksJump(t *testing.T) {
	now, dir := time.Now(), t.TempDir()
	open := func() *bes.Queue {
		q, err := bes.OpenQueue(bes.QueueOptions{
			Dir: dir, Pusher: new(pusher), Keep: 3, KeepFor: time.Hour, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
		})
		must(t, err)
		return q
	}
	q := open()
	lose := func(name string) {
		t.Helper()
		must(t, q.Lose(bes.Job{Invocation: "build", Target: name, Plan: bes.File{URI: name}}, io.EOF))
	}
	order := func() (targets []string) {
		t.Helper()
		jobs, err := q.Ended(t.Context(), "build") // in the order of acceptance
		must(t, err)
		for _, j := range jobs {
			targets = append(targets, j.Target)
		}
		return targets
	}
	lose("1")
	now = now.AddDate(1, 0, 0)
	lose("2")
	now = now.AddDate(-1, 0, 0)
	lose("3")
	want(t, order(), "1", "2", "3")
	now = now.Add(2 * time.Hour)
	lose("4")
	want(t, order(), "2", "3", "4")
	lose("5")
	want(t, order(), "3", "4", "5") // 2 ended long before, or after
	q = open()
	lose("6")
	want(t, order(), "4", "5", "6")
}

// Whatever the directory is called, and though it is not to be read for once: what was accepted is not passed over.
func TestJobsAreFoundOrMissed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "[state]", "jobs")
	o := bes.QueueOptions{Dir: dir, Pusher: new(pusher), Jobs: 1, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	q, err := bes.OpenQueue(o)
	must(t, err)
	must(t, q.Add(bes.Job{Invocation: "build", Plan: bes.File{URI: "x"}}))
	jobs, broken, err := bes.ReadJobs(dir)
	if len(jobs) != 1 || len(broken) > 0 || err != nil {
		t.Errorf("jobs are %v, %v, %v", jobs, broken, err)
	}
	must(t, os.Mkdir(filepath.Join(dir, "x.json"), 0o700)) // which can't be read as a file
	if _, err := bes.OpenQueue(o); err == nil {
		t.Error("it is opened without what can't be read")
	}
}

// What no push was tried of counts, too.
func TestAllThatEndsIsCounted(t *testing.T) {
	dir, counted := t.TempDir(), map[string]int{}
	must(t, os.WriteFile(filepath.Join(dir, "broken.json"), []byte("{"), 0o600))
	q, err := bes.OpenQueue(bes.QueueOptions{
		Dir: dir, Pusher: new(pusher), Jobs: 1, Keep: 9, Count: func(state string) { counted[state]++ }, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	must(t, err)
	must(t, q.Lose(bes.Job{Invocation: "build", Plan: bes.File{URI: "1"}}, io.EOF))
	must(t, q.Add(bes.Job{Invocation: "build", Target: "//:good", Plan: bes.File{URI: "2"}}))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan struct{})
	go func() { defer close(ended); q.Run(ctx) }()
	_, err = q.Ended(ctx, "build")
	must(t, err)
	stop()
	<-ended
	if counted[bes.Lost] != 1 || counted[bes.Failed] != 1 || counted[bes.Done] != 1 || len(counted) != 3 {
		t.Errorf("counted %v", counted)
	}
}
