package guides_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// block is a fenced block of a guide.
type block struct {
	line     int
	language string
	words    []string // after the language
	file     string   // that it is, or more of
	text     string
}

func (b block) says(word string) bool { return slices.Contains(b.words, word) }

var named = regexp.MustCompile(`^(?:#|//) ([\w./-]+)$`)

// blocks reads the blocks of a guide, without those that say untried. What is left must be a file, a command, or what one prints.
func blocks(t *testing.T, guide string) []block {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(bazeltest.Root(t), "docs", "guides", guide+".md"))
	bazeltest.Must(t, err)
	var found []block
	var open *block
	for i, line := range strings.SplitAfter(string(b), "\n") {
		fence, ok := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case ok && open == nil:
			open = begin(i+1, fence)
		case ok:
			if !open.says("untried") {
				found = append(found, end(t, guide, *open))
			}
			open = nil
		case open != nil:
			open.text += line
		}
	}
	return found
}

func begin(line int, fence string) *block {
	language, rest, _ := strings.Cut(fence, " ")
	b := &block{line: line, language: language, words: strings.Fields(rest)}
	if language == "json" && len(b.words) > 0 { // which has no comments
		b.file = b.words[0]
	}
	return b
}

func end(t *testing.T, guide string, b block) block {
	t.Helper()
	first, _, _ := strings.Cut(b.text, "\n")
	if m := named.FindStringSubmatch(first); m != nil && b.language != "text" {
		b.file = m[1]
	}
	if b.file == "" && b.language != "sh" && b.language != "text" {
		t.Fatalf("%s:%d: which file is this? Say so in its first line, # BUILD.bazel, or that it is untried", guide, b.line)
	}
	return b
}

// missing returns the first line of what is shown that is not in what was printed, in that order.
func missing(shown, printed string) string {
	lines := strings.Split(printed, "\n")
	for want := range strings.Lines(shown) {
		want = strings.TrimSpace(want)
		pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*") + "$")
		i := slices.IndexFunc(lines, func(line string) bool { return pattern.MatchString(strings.TrimSpace(line)) })
		if want != "" && i < 0 {
			return want
		}
		lines = lines[i+1:]
	}
	return ""
}

func TestMissing(t *testing.T) {
	for _, row := range []struct{ it, shown, want string }{
		{"finds lines in order, with others between", "one\nthree\n", ""},
		{"takes … for anything", "t…e\n", ""},
		{"wants whole lines", "on\n", "on"},
		{"wants the order", "three\none\n", "one"},
	} {
		t.Run(row.it, func(t *testing.T) {
			if got := missing(row.shown, "one\ntwo\nthree\n"); got != row.want {
				t.Errorf("missing %q, want %q", got, row.want)
			}
		})
	}
}
