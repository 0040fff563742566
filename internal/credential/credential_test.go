package credential

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// script writes a helper that runs the shell lines, with the request on stdin.
func script(t *testing.T, dir, name, lines string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the helpers of this test are shell scripts")
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+lines), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// counting is a helper that notes each question in a file, and answers with the rest.
func counting(t *testing.T, dir, answer string) (path string, questions func() []string) {
	log := filepath.Join(dir, "log")
	path = script(t, dir, "helper", fmt.Sprintf("{ echo \"$1 $(cat)\"; } >> %s\necho '%s'\n", log, answer))
	return path, func() []string {
		b, _ := os.ReadFile(log)
		return strings.Split(strings.TrimSpace(string(b)), "\n")
	}
}

func TestHelperIsAskedOnceAsItsSpecificationSays(t *testing.T) {
	path, questions := counting(t, t.TempDir(), `{"headers": {"Authorization": ["Bearer x"], "X-Two": ["a", "b"]}, "more": 1}`)
	h, err := Parse(path, "")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			got, err := h.Headers(t.Context(), "https://cache.example.com/service")
			if err != nil || got.Get("Authorization") != "Bearer x" || len(got["X-Two"]) != 2 {
				t.Errorf("headers are %v, %v", got, err)
			}
		})
	}
	all.Wait()
	if got := questions(); len(got) != 1 || got[0] != `get {"uri":"https://cache.example.com/service"}` {
		t.Errorf("the helper was asked %q", got)
	}
}

// TestWhoWaitedForAFailureFailsToo: a helper that hangs would otherwise take its ten seconds from each blob of a push, one after the other.
func TestWhoWaitedForAFailureFailsToo(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	h, err := Parse(script(t, dir, "helper", "echo asked >>"+log+"; echo not today >&2; exit 1\n"), "")
	if err != nil {
		t.Fatal(err)
	}
	const callers = 5
	var waiting, all sync.WaitGroup
	waiting.Add(callers)
	var calls atomic.Int32
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	h.Now = func() time.Time { // which each asks before it waits
		if calls.Add(1) <= callers {
			waiting.Done()
		}
		return start
	}
	busy := h.answer("https://h/")
	busy.mu.Lock()
	for range callers {
		all.Go(func() {
			if _, err := h.Headers(t.Context(), "https://h/"); err == nil || !strings.Contains(err.Error(), "not today") {
				t.Errorf("error is %v", err)
			}
		})
	}
	waiting.Wait()
	busy.mu.Unlock()
	all.Wait()
	h.Now = func() time.Time { return start.Add(time.Second) }
	if _, err := h.Headers(t.Context(), "https://h/"); err == nil {
		t.Error("succeeded")
	}
	if b, _ := os.ReadFile(log); strings.Count(string(b), "asked") != 2 {
		t.Errorf("the helper ran for %q: want once for those who waited, and once for who came later", b)
	}
}

func TestAnswersAreKeptForAsLongAsTheyAreGood(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, row := range []struct {
		name, answer string
		after        time.Duration
		asked        int
	}{
		{"until it expires", `{"headers": {}, "expires": "2026-01-02T04:06:05+01:00"}`, time.Minute, 1},
		{"not when it expired", `{"headers": {}, "expires": "2026-01-02T03:10:05Z"}`, 7 * time.Minute, 2},
		{"not when the clock was set back", `{"headers": {}, "expires": "2026-01-02T03:10:05Z"}`, -24 * time.Hour, 2},
		{"half an hour when it does not say", `{"headers": {}}`, 29 * time.Minute, 1},
		{"no longer than that", `{"headers": {}}`, 31 * time.Minute, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			path, questions := counting(t, t.TempDir(), row.answer)
			h, err := Parse(path, "")
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range []time.Time{start, start.Add(row.after)} {
				h.Now = func() time.Time { return at }
				if _, err := h.Headers(t.Context(), "https://h/"); err != nil {
					t.Fatal(err)
				}
			}
			if got := questions(); len(got) != row.asked {
				t.Errorf("the helper was asked %d times: want %d", len(got), row.asked)
			}
		})
	}
}

func TestTheClosestScopeIsChosen(t *testing.T) {
	h, err := Parse("/all, *.example.com=/wide,*.deep.example.com=/deep, exact.deep.example.com=/exact,other.org=/first,other.org=/second", "")
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"elsewhere.net":          "/all",
		"example.com":            "/wide",
		"a.example.com":          "/wide",
		"notexample.com":         "/all",
		"a.deep.example.com":     "/deep",
		"exact.deep.example.com": "/exact",
		"other.org":              "/second",
		"a.other.org":            "/all",
	} {
		if got := h.pathFor(host); got != want {
			t.Errorf("%s: helper %s: want %s", host, got, want)
		}
	}
}

func TestHelpersOfTheWorkspaceRunThere(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "in workspace", `echo "{\"headers\": {\"Where\": [\"$(pwd)\"]}}"`)
	h, err := Parse("h=%workspace%/in workspace", dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.Headers(t.Context(), "https://h:8980/x")
	if err != nil || filepath.Base(got.Get("Where")) != filepath.Base(dir) {
		t.Errorf("headers are %v, %v", got, err)
	}
	if got, err := h.Headers(t.Context(), "https://other/x"); got != nil || err != nil {
		t.Errorf("of a host without a helper: %v, %v", got, err)
	}
}

func TestWhatIsNoHelperIsRefused(t *testing.T) {
	for helper, want := range map[string]string{
		"%workspace%/x": "bazel run",
		"./relative/x":  "absolute",
		"a/b=/x":        "*.DOMAIN",
		"a*.b=/x":       "*.DOMAIN",
		"host=":         "absolute",
	} {
		if _, err := Parse(helper, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v: want it to say %q", helper, err, want)
		}
	}
}

func TestFailuresSayWhatTheHelperSaidAndNoSecret(t *testing.T) {
	for name, row := range map[string]struct{ lines, want string }{
		"exit status":   {"echo 'note' >&2; echo 'no such account' >&2; exit 3", "no such account (exit status 3)"},
		"no JSON":       {"echo secret", "its answer is not"},
		"wrong headers": {`echo '{"headers": "secret"}'`, "its answer is not"},
		"a line break":  {`printf '{"headers": {"A": ["x\\nsecret"]}}'`, `header "A"`},
		"too slow":      {"sleep 5", "took longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := Parse(script(t, t.TempDir(), "helper", row.lines), "")
			if err != nil {
				t.Fatal(err)
			}
			if name == "too slow" {
				h.Timeout = 50 * time.Millisecond
			}
			_, err = h.Headers(t.Context(), "https://h/")
			if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error is %v: want it to say %q", err, row.want)
			}
		})
	}
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte(`{"headers": {"A": ["b"]}, "expires": "2026-01-02T03:04:05Z"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseResponse(b)
		if err != nil {
			return
		}
		req := http.Request{Header: r.Headers}
		for name, values := range req.Header {
			if !isHeader(name, values) {
				t.Errorf("header %q: %q", name, values)
			}
		}
	})
}
