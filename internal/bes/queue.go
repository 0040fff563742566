package bes

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// QueueOptions are what a [Queue] needs.
type QueueOptions struct {
	// Dir has a file for each job. It is made if it is not there.
	Dir    string
	Pusher Pusher
	// Jobs is how many plans are pushed at once.
	Jobs int
	// Keep is how many jobs are remembered that have ended, the latest, and KeepFor is for how long all are, however many.
	Keep    int
	KeepFor time.Duration
	// Grace is how long pushes may go on after Run was told to end.
	Grace time.Duration
	// Count, if not nil, is told of each plan that has ended whether it is Done or Failed, and of each file of a job that is broken that it is Lost.
	Count func(state string)
	Log   *slog.Logger
	Now   func() time.Time
}

// Queue has the plans that are to be pushed and those that were. It may be used concurrently.
type Queue struct {
	QueueOptions

	mu      sync.Mutex
	jobs    map[string]*Job // all that are remembered, by their IDs
	waiting []*Job          // accepted and not begun, the first first
	ended   []string        // IDs, in their order
	latest  time.Time       // that a job was accepted
	held    map[string]int  // builds that go on, and how many connections of each
	change  chan struct{}   // closed, and replaced, when something changes
}

// OpenQueue reads what an earlier process left: what it had accepted and not ended is pushed again. A job whose file is broken is lost, which
// is logged, and its file left for somebody to look at.
func OpenQueue(o QueueOptions) (*Queue, error) {
	if err := makeDir(o.Dir); err != nil {
		return nil, err
	}
	q := &Queue{QueueOptions: o, jobs: map[string]*Job{}, held: map[string]int{}, change: make(chan struct{})}
	jobs, broken, err := ReadJobs(o.Dir)
	if err != nil {
		return nil, err
	}
	for _, err := range broken {
		o.Log.Error("lost", "error", err)
		q.count(Lost)
	}
	for _, j := range jobs {
		q.jobs[j.ID] = &j
		q.latest = j.Accepted // they come in this order
		if j.State != Accepted {
			q.ended = append(q.ended, j.ID)
			continue
		}
		o.Log.Info("resumed", "target", j.Target, "invocation", j.Invocation, "job", j.ID)
		q.waiting = append(q.waiting, &j)
	}
	slices.SortStableFunc(q.ended, func(a, b string) int { return q.jobs[a].Ended.Compare(q.jobs[b].Ended) })
	return q, nil
}

// Add accepts a job. When it returns, the job survives the death of this process. One that is known, by its invocation and its plan, is not
// accepted again.
func (q *Queue) Add(j Job) error {
	j.Version, j.ID, j.State, j.Accepted = jobVersion, j.id(), Accepted, q.accepted()
	if q.known(j.ID) {
		return nil
	}
	if err := q.write(j); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.jobs[j.ID] != nil { // by another stream, meanwhile
		return nil
	}
	q.jobs[j.ID] = &j
	q.waiting = append(q.waiting, &j)
	q.changed()
	q.Log.Info("accepted", "target", j.Target, "invocation", j.Invocation, "job", j.ID)
	return nil
}

// Lose remembers that a plan can't be pushed, and why.
func (q *Queue) Lose(j Job, why error) error {
	j.Version, j.ID, j.Accepted = jobVersion, j.id(), q.accepted()
	if q.known(j.ID) {
		return nil
	}
	j.end(q.Now(), Pushed{}, why)
	if err := q.write(j); err != nil {
		return err
	}
	q.remember(j)
	return nil
}

// accepted is the time, but always later than the last: a clock that is set back must not make a build an earlier one, whose tags are those
// of the later.
func (q *Queue) accepted() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.Now().UTC()
	if !now.After(q.latest) {
		now = q.latest.Add(1)
	}
	q.latest = now
	return now
}

func (q *Queue) known(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.jobs[id] != nil
}

// Run pushes what was accepted, the first first, until ctx ends. What is under way then may go on for Grace, and is pushed again by the next
// process if that is too short.
func (q *Queue) Run(ctx context.Context) {
	pushing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(q.Grace, cancel) })()
	var all errgroup.Group
	all.SetLimit(q.Jobs)
	for {
		j, ok := q.next(ctx)
		if !ok {
			break
		}
		all.Go(func() error { q.push(ctx, pushing, j); return nil })
	}
	all.Wait()
}

// next waits for a job. It is false when ctx ends.
func (q *Queue) next(ctx context.Context) (Job, bool) {
	for ctx.Err() == nil {
		q.mu.Lock()
		change := q.change
		if len(q.waiting) > 0 {
			j := *q.waiting[0]
			q.waiting = q.waiting[1:]
			q.mu.Unlock()
			return j, true
		}
		q.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-change:
		}
	}
	return Job{}, false
}

// push pushes, unless ctx has ended while it waited for its turn.
func (q *Queue) push(ctx, pushing context.Context, j Job) {
	if ctx.Err() != nil {
		return
	}
	pushed, err := q.Pusher.Push(pushing, j)
	if err != nil && pushing.Err() != nil {
		return
	}
	j.end(q.Now(), pushed, err)
	defer q.remember(j) // that it has ended is true even if it can't be written
	if err := q.write(j); err != nil {
		q.Log.Error("what became of a push can't be written down: it will be pushed again after a restart", "job", j.ID, "error", err)
	}
}

// end says what became of the job.
func (j *Job) end(now time.Time, pushed Pushed, why error) {
	j.State, j.Names, j.Notes, j.Ended = Done, pushed.Names, few(pushed.Notes), now.UTC()
	j.Plan.Contents = nil
	if why != nil {
		j.State, j.Error = Failed, short(why.Error())
	}
}

// mostNotes is how many notes are remembered of a job, and mostSaid how many bytes of each and of an error. What is more has something in it that a
// client made long.
const mostNotes, mostSaid = 100, 16 << 10

func few(notes []string) (out []string) {
	for _, note := range notes[:min(len(notes), mostNotes)] {
		out = append(out, short(note))
	}
	if more := len(notes) - len(out); more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return out
}

func short(s string) string {
	if more := len(s) - mostSaid; more > 0 {
		return strings.ToValidUTF8(s[:mostSaid], "") + fmt.Sprintf("... and %d bytes more", more)
	}
	return s
}

// remember takes a job that has ended among those.
func (q *Queue) remember(j Job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs[j.ID] = &j
	q.ended = append(q.ended, j.ID)
	q.forget()
	q.changed()
	q.log(j)
	q.count(j.State)
}

func (q *Queue) count(state string) {
	if q.Count != nil {
		q.Count(state)
	}
}

func (q *Queue) log(j Job) {
	log := q.Log.With("target", j.Target, "invocation", j.Invocation, "job", j.ID)
	for _, note := range j.Notes {
		log.Info("note", "note", note)
	}
	switch {
	case j.State == Failed:
		log.Error("failed", "pushed", j.Names, "error", j.Error)
	case len(j.Names) > 0:
		log.Info("pushed", "names", j.Names)
	default:
		log.Info("nothing to push")
	}
}

// forget drops the earliest of too many jobs that have ended, except those of builds that go on. What has ended in the future, since when the
// clock was set back, is as old.
func (q *Queue) forget() {
	for i := 0; len(q.ended) > q.Keep && i < len(q.ended); {
		j := q.jobs[q.ended[i]]
		switch {
		case q.Now().Sub(j.Ended).Abs() <= q.KeepFor:
			return
		case q.held[j.Invocation] > 0:
			i++
			continue
		}
		q.ended = slices.Delete(q.ended, i, i+1)
		delete(q.jobs, j.ID)
		if err := os.Remove(q.path(j.ID)); err != nil {
			q.Log.Error("forget", "error", err)
		}
	}
}

// Hold keeps the jobs of a build until release is called, however many and old they are: how the build ends depends on all of them.
func (q *Queue) Hold(invocation string) (release func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held[invocation]++
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.held[invocation]--; q.held[invocation] == 0 {
			delete(q.held, invocation)
		}
	}
}

// changed wakes who waits for a change.
func (q *Queue) changed() {
	close(q.change)
	q.change = make(chan struct{})
}

// Ended waits until all jobs of an invocation have ended, and returns them.
func (q *Queue) Ended(ctx context.Context, invocation string) ([]Job, error) {
	for {
		jobs, left, change := q.of(invocation)
		if left == 0 {
			return jobs, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-change:
		}
	}
}

// of returns the jobs of an invocation, how many of them have not ended, and what is closed when something changes.
func (q *Queue) of(invocation string) (jobs []Job, left int, change chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range q.jobs {
		if j.Invocation != invocation {
			continue
		}
		jobs = append(jobs, *j)
		if j.State == Accepted {
			left++
		}
	}
	slices.SortFunc(jobs, inOrder)
	return jobs, left, q.change
}
