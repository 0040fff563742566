package remote

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// turns bounds how many requests to a registry are under way. A registry that says it is asked too often gets half as many at
// once, and slowly more when it answers well; when it says how long to wait, everybody waits.
type turns struct {
	most int // the limit is never more

	mu      sync.Mutex
	limit   int
	busy    int
	well    int // answers since the limit last grew
	era     int // how often the limit was cut
	notYet  time.Time
	waiting []chan struct{}
}

// longestPause is how long a registry can make everybody wait. Longer is an error for whoever is told so.
const longestPause = time.Minute

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
	got, pause := &turn{of: t, era: t.era}, time.Until(t.notYet)
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

// learn takes the status of an answer. Those to requests from before the last cut don't cut again.
func (u *turn) learn(status int, pause time.Duration) {
	t := u.of
	t.mu.Lock()
	defer t.mu.Unlock()
	if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		t.answeredWell()
		return
	}
	if until := time.Now().Add(pause); pause <= longestPause && until.After(t.notYet) {
		t.notYet = until
	}
	if u.era == t.era {
		t.era++
		t.limit, t.well = max(1, t.limit/2), 0
	}
}

// answeredWell lets the limit grow by one for each round of good answers.
func (t *turns) answeredWell() {
	if t.well++; t.limit < t.most && t.well >= t.limit {
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
