package remote

import (
	"context"
	"strings"
	"sync"
)

// mountHabits is what a registry does when it is asked to mount a blob from a repository that has it. One that does mount is
// asked to mount each blob from the very repository it is for, which says in one request that the blob is there, or begins
// the upload. One that does not must be asked by HEAD.
type mountHabits struct {
	mu      sync.Mutex
	self    habit
	cross   habit
	denied  map[string]bool // repositories that nothing can be mounted from, perhaps for want of a right
	unasked int64           // bytes uploaded since the last question
	asking  int
	told    chan struct{} // closed when asking gets 0
}

type habit int

const (
	unknown habit = iota
	mounts
	refuses
)

func (m *mountHabits) of(cross bool) habit {
	m.mu.Lock()
	defer m.mu.Unlock()
	if cross {
		return m.cross
	}
	return m.self
}

// learn takes what an answer showed. What a registry was seen to do once it is not thought to have unlearned.
func (m *mountHabits) learn(cross bool, h habit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if cross && m.cross == unknown {
		m.cross = h
	}
	if m.self == unknown && (!cross || h == refuses) { // who does not mount from elsewhere does not mount from here
		m.self = h
	}
}

// deny notes that asking to mount from a repository is answered by an error.
func (m *mountHabits) deny(from string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.denied == nil {
		m.denied = map[string]bool{}
	}
	m.denied[from] = true
}

// worth reports whether mounting from another repository is worth asking for.
func (m *mountHabits) worth(from string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cross != refuses && !m.denied[from]
}

// ask runs a question whose answer may teach a habit.
func (m *mountHabits) ask(question func() (bool, error)) (bool, error) {
	m.mu.Lock()
	if m.asking++; m.asking == 1 {
		m.told = make(chan struct{})
	}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.asking--; m.asking == 0 {
			close(m.told)
		}
	}()
	return question()
}

// settled waits for the questions under way, so that a small blob profits from what is asked for a large one.
func (m *mountHabits) settled(ctx context.Context) {
	m.mu.Lock()
	told, asking := m.told, m.asking
	m.mu.Unlock()
	if asking == 0 {
		return
	}
	select {
	case <-told:
	case <-ctx.Done():
	}
}

// askEvery is how many bytes are uploaded, to a registry whose habits are not known, for each question whether they are
// there: so much may be sent in vain, and so little is asked.
const askEvery = 64 << 20

// due reports whether it is time for a question, when size more bytes are about to be sent.
func (m *mountHabits) due(size int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unasked += size; m.unasked < askEvery {
		return false
	}
	m.unasked = 0
	return true
}

// knownHabit is what a registry is known to do. Amazon's mounts nothing, unless an account is set to.
func knownHabit(registry string) habit {
	if strings.HasSuffix(registry, ".amazonaws.com") || registry == "public.ecr.aws" {
		return refuses
	}
	return unknown
}
