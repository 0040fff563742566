package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// Users are names and bcrypt hashes of passwords. A right password is hashed once and then remembered, because hashing is slow
// by design and clients show it with every request.
type Users struct {
	hashes map[string][]byte
	nobody []byte        // is compared with when there is no such user, so that it takes as long
	slots  chan struct{} // as many as may hash at once: half of the processors, since anybody can make us hash

	mu    sync.Mutex
	key   [32]byte
	known map[[32]byte]bool // keyed hashes of names and passwords that are right
}

// maxKnown bounds what is remembered; a server has fewer users, or forgets now and then.
const maxKnown = 10_000

// maxCost bounds bcrypt's cost: with this one a login takes seconds, and with its largest, days.
const maxCost = 16

// ParseUsers reads an htpasswd file made by `htpasswd -B`: a line for each user, NAME:HASH.
func ParseUsers(file string) (*Users, error) {
	hashes, cost, err := parseHashes(file)
	if err != nil {
		return nil, err
	}
	u := &Users{hashes: hashes, slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), known: map[[32]byte]bool{}}
	rand.Read(u.key[:])
	u.nobody, err = bcrypt.GenerateFromPassword([]byte(rand.Text()), cost)
	return u, err
}

// parseHashes returns the hash of each user, and the highest cost.
func parseHashes(file string) (hashes map[string][]byte, cost int, err error) {
	hashes, cost = map[string][]byte{}, bcrypt.MinCost
	for number, line := range numbered(file) {
		name, hash, ok := strings.Cut(line, ":")
		c, err := bcrypt.Cost([]byte(hash))
		switch {
		case !ok || name == "" || err != nil:
			return nil, 0, fmt.Errorf("line %d: want NAME:HASH with a bcrypt hash, as `htpasswd -B` writes it", number)
		case c > maxCost:
			return nil, 0, fmt.Errorf("line %d: a hash of cost %d takes too long at each login: want at most %d (`htpasswd -B -C 10`)", number, c, maxCost)
		}
		hashes[name], cost = []byte(hash), max(cost, c)
	}
	if len(hashes) == 0 {
		return nil, 0, errors.New("names no user")
	}
	return hashes, cost, nil
}

// check reports whether it is this user's password. No users are nobody, and neither is who does not wait for the answer.
func (u *Users) check(ctx context.Context, name, password string) bool {
	if u == nil {
		return false
	}
	key := u.keyed(name, password)
	if u.remembers(key) {
		return true
	}
	hash, exists := u.hashes[name]
	if !exists {
		hash = u.nobody
	}
	select {
	case u.slots <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	err := bcrypt.CompareHashAndPassword(hash, []byte(password))
	<-u.slots
	if err != nil || !exists {
		return false
	}
	u.remember(key)
	return true
}

func (u *Users) keyed(name, password string) (sum [32]byte) {
	h := hmac.New(sha256.New, u.key[:])
	fmt.Fprintf(h, "%d %s %s", len(name), name, password)
	h.Sum(sum[:0])
	return sum
}

func (u *Users) remembers(key [32]byte) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.known[key]
}

func (u *Users) remember(key [32]byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.known) >= maxKnown {
		clear(u.known)
	}
	u.known[key] = true
}
