package remote

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// turns bounds how many requests to a registry are under way. A registry that says it is asked too often gets half as many at
// once, and if one or two are too often, at a distance; slowly more when it answers well. When it says how long to wait, everybody waits.
type turns struct {
	most int // the limit is never more

	mu       sync.Mutex
	limit    int
	busy     int
	well     int // answers since the limit last grew
	era      int // how often the limit was cut
	cutAt    time.Time
	wellAt   time.Time // the last of them
	next     time.Time // when the next may go
	distance time.Duration
	waiting  []chan struct{}
}

const (
	// longestPause is how long a registry can make everybody wait. Longer is an error for whoever is told so.
	longestPause = time.Minute
	// Between these is the distance from one request to the next.
	shortestDistance, longestDistance = 10 * time.Millisecond, time.Second
	// servedWithin is how long ago a registry that still serves has answered well.
	servedWithin = 10 * time.Second
)

func newTurns(most int) *turns { return &turns{most: most, limit: most} }

// turn is the right to send one request.
type turn struct {
	of   *turns
	era  int
	over sync.Once
}

// take waits for a turn.
func (t *turns) take(ctx context.Context) (*turn, error) {
	t.mu.Lock()
	if t.busy >= t.limit || len(t.waiting) > 0 {
		mine := make(chan struct{})
		t.waiting = append(t.waiting, mine)
		t.mu.Unlock()
		select {
		case <-mine:
		case <-ctx.Done():
			t.giveUp(mine)
			return nil, ctx.Err()
		}
		t.mu.Lock()
	} else {
		t.busy++
	}
	got, pause := &turn{of: t, era: t.era}, max(0, time.Until(t.next))
	t.next = time.Now().Add(pause + t.distance)
	t.mu.Unlock()
	if err := sleep(ctx, pause); err != nil {
		got.end()
		return nil, err
	}
	return got, nil
}

// giveUp leaves the queue; a turn that came at the same moment goes to the next.
func (t *turns) giveUp(mine chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, w := range t.waiting {
		if w == mine {
			t.waiting = append(t.waiting[:i], t.waiting[i+1:]...)
			return
		}
	}
	t.busy--
	t.admit()
}

// admit gives turns to those who wait, as far as the limit goes.
func (t *turns) admit() {
	for len(t.waiting) > 0 && t.busy < t.limit {
		t.busy++
		close(t.waiting[0])
		t.waiting = t.waiting[1:]
	}
}

func (u *turn) end() {
	u.over.Do(func() {
		u.of.mu.Lock()
		defer u.of.mu.Unlock()
		u.of.busy--
		u.of.admit()
	})
}

// learn takes the status of an answer, and reports whether the registry serves others. Answers to requests from before the last cut don't cut again.
func (u *turn) learn(status int, pause time.Duration) (serves bool) {
	t := u.of
	t.mu.Lock()
	defer t.mu.Unlock()
	if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		t.answeredWell()
		return true
	}
	if until := time.Now().Add(pause); pause <= longestPause && until.After(t.next) {
		t.next = until
	}
	if u.era == t.era {
		t.cut()
	}
	return time.Since(t.wellAt) < servedWithin
}

// cut halves what is asked for. The distance grows only if some was answered well before: a registry that takes nothing need not be given time.
func (t *turns) cut() {
	if t.limit <= 3 && t.wellAt.After(t.cutAt) {
		t.distance = min(max(2*t.distance, shortestDistance), longestDistance)
	}
	t.era++
	t.cutAt = time.Now()
	t.limit, t.well = max(1, t.limit/2), 0
}

// answeredWell lets the distance shrink with each good answer, and then the limit grow by one for each round of them.
func (t *turns) answeredWell() {
	t.well++
	t.wellAt = time.Now()
	if t.distance > 0 {
		if t.distance -= t.distance / 32; t.distance < shortestDistance/2 {
			t.distance = 0
		}
		return
	}
	if t.limit < t.most && t.well >= t.limit {
		t.limit++
		t.well = 0
		t.admit()
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
