package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// Tokens are long secrets that whoever shows them is let in for.
type Tokens struct {
	sums map[[32]byte]bool // a lookup of a hash tells nothing about a token
}

// minToken is how long a token must be, since nothing slows down who tries.
const minToken = 20

// ParseTokens reads a file with a token in each line.
func ParseTokens(file string) (*Tokens, error) {
	t := &Tokens{map[[32]byte]bool{}}
	for number, token := range numbered(file) {
		if len(token) < minToken || strings.ContainsAny(token, " \t") {
			return nil, fmt.Errorf("line %d: want a token of at least %d characters, such as `openssl rand -hex 20` makes", number, minToken)
		}
		t.sums[sha256.Sum256([]byte(token))] = true
	}
	if len(t.sums) == 0 {
		return nil, errors.New("has no token")
	}
	return t, nil
}

func (t *Tokens) has(token string) bool { return t != nil && t.sums[sha256.Sum256([]byte(token))] }

// numbered yields the lines of a file that say something, with their numbers.
func numbered(file string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		number := 0
		for line := range strings.Lines(file) {
			number++
			line = strings.TrimSpace(line)
			if line != "" && !strings.HasPrefix(line, "#") && !yield(number, line) {
				return
			}
		}
	}
}
