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
	fails    bool   // sh that ends with an error
	file     string // that it is, or more of
	text     string
}

var named = regexp.MustCompile(`^(?:#|//) ([\w./-]+)$`)

// blocks reads the blocks of a guide, without those that are untried. Every block of Starlark must be a file, and every one of sh a command.
func blocks(t *testing.T, guide string) []block {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(bazeltest.Root(t), "docs", "guides", guide+".md"))
	bazeltest.Must(t, err)
	var found []block
	var open *block
	untried := false
	for i, line := range strings.SplitAfter(string(b), "\n") {
		fence, ok := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case ok && open == nil:
			words := strings.Fields(fence)
			open = &block{line: i + 1, fails: slices.Contains(words, "fails")}
			untried = slices.Contains(words, "untried")
			if len(words) > 0 {
				open.language = words[0]
			}
		case ok:
			first, _, _ := strings.Cut(open.text, "\n")
			if m := named.FindStringSubmatch(first); m != nil && open.language != "text" {
				open.file = m[1]
			}
			if !untried {
				if open.language == "starlark" && open.file == "" {
					t.Fatalf("%s:%d: which file is this? Say so in its first line, # BUILD.bazel, or that it is untried", guide, open.line)
				}
				found = append(found, *open)
			}
			open = nil
		case open != nil:
			open.text += line
		}
	}
	return found
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
