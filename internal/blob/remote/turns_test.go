package remote

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/blob"
)

func mustTake(t *testing.T, turns *turns) *turn {
	t.Helper()
	u, err := turns.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// free counts the turns that can be had at once.
func free(t *testing.T, turns *turns) int {
	t.Helper()
	var had []*turn
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		u, err := turns.take(ctx)
		cancel()
		if err != nil {
			break
		}
		had = append(had, u)
	}
	for _, u := range had {
		u.end()
	}
	return len(had)
}

func TestTurnsHalveOnceForARoundOfRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(8)
		var round []*turn
		for range 8 {
			round = append(round, mustTake(t, turns))
		}
		for _, u := range round {
			u.learn(429, 0)
			u.end()
		}
		if n := free(t, turns); n != 4 {
			t.Errorf("%d turns after a round of 429; want 4", n)
		}
	})
}

func TestTurnsGrowBackWithGoodAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(8)
		u := mustTake(t, turns)
		u.learn(503, 0)
		u.end()
		for range 4 {
			u := mustTake(t, turns)
			u.learn(200, 0)
			u.end()
		}
		if n := free(t, turns); n != 5 {
			t.Errorf("%d turns after a good round of four; want 5", n)
		}
		for range 100 {
			u := mustTake(t, turns)
			u.learn(200, 0)
			u.end()
		}
		if n := free(t, turns); n != 8 {
			t.Errorf("%d turns after many good answers; want the 8 it began with", n)
		}
	})
}

func TestEverybodyWaitsAsLongAsTheRegistryAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(2)
		u := mustTake(t, turns)
		u.learn(429, 3*time.Second)
		u.end()
		start := time.Now()
		mustTake(t, turns).end()
		if waited := time.Since(start); waited != 3*time.Second {
			t.Errorf("waited for %v; want 3s", waited)
		}
	})
}

// TestARegistryThatTakesSoManyASecond says no more, and never how long to wait, as Amazon's does for manifests. Many pushes find a pace that it
// takes, and none of them fails.
func TestARegistryThatTakesSoManyASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pushes, most = 100, 10
		turns := newTurns(32)
		var mu sync.Mutex
		have, last, refused := float64(most), time.Now(), 0
		takes := func() bool {
			mu.Lock()
			defer mu.Unlock()
			have, last = min(most, have+most*time.Since(last).Seconds()), time.Now()
			if have < 1 {
				refused++
				return false
			}
			have--
			return true
		}
		request := func(limited bool) error {
			u, err := turns.take(t.Context())
			if err != nil {
				return err
			}
			defer u.end()
			time.Sleep(20 * time.Millisecond)
			if limited && !takes() {
				return &Error{Status: 429, serves: u.learn(429, 0)}
			}
			u.learn(200, 0)
			return nil
		}
		start := time.Now()
		var all errgroup.Group
		for range pushes {
			all.Go(func() error {
				for i := range 9 { // two of which are for manifests
					if err := (blob.Retry{Attempts: 8}).Do(t.Context(), func() error { return request(i >= 7) }); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := all.Wait(); err != nil {
			t.Error(err)
		}
		if refused > 2*pushes {
			t.Errorf("%d requests were refused, and %d taken", refused, 2*pushes)
		}
		if took := time.Since(start); took > 2*2*pushes/most*time.Second {
			t.Errorf("took %v; want no more than twice what the registry's limit asks for", took)
		}
	})
}

// TestATurnOfSomebodyWhoLeftIsNotLost: the limit is one, and the second in the queue gives up.
func TestATurnOfSomebodyWhoLeftIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1)
		first := mustTake(t, turns)
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() { _, err := turns.take(ctx); left <- err }()
		got := make(chan *turn)
		go func() { time.Sleep(time.Second); u, _ := turns.take(t.Context()); got <- u }()
		time.Sleep(2 * time.Second)
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
		first.end()
		(<-got).end()
		if n := free(t, turns); n != 1 {
			t.Errorf("%d turns; want 1", n)
		}
	})
}
