// Package credential asks Bazel's credential helpers: programs that say which headers a request to a URI needs
// (https://github.com/EngFlow/credential-helper-spec). The entry point is [Parse]; [Helpers.Headers] asks.
//
// The law: a secret is kept in memory, for as long as its helper allows, and is never part of an error.
package credential

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Helpers are the helpers of a workspace, and what they said. The zero value has none.
type Helpers struct {
	// Workspace is the directory that helpers run in, and what %workspace% stands for.
	Workspace string
	// Environ is the environment of helpers; nil is that of this process.
	Environ []string
	// Timeout is how long a helper may take; 0 is ten seconds, as in Bazel.
	Timeout time.Duration
	// Keep is how long an answer is good that does not say; 0 is half an hour, as in Bazel.
	Keep time.Duration
	// Now is the clock; nil is [time.Now].
	Now func() time.Time

	helpers []helper

	mu    sync.Mutex
	asked map[string]*answer
}

// helper is one program and the hosts that it is for.
type helper struct {
	scope string // a host, *.DOMAIN, or empty for all
	path  string
}

// answer is what a helper said of one URI.
type answer struct {
	mu      sync.Mutex // held while the helper runs
	headers http.Header
	since   time.Time // on the wall: it is not good before, when the clock was set back
	until   time.Time
	err     error // of the last time that it ran
	ended   time.Time
}

// Parse reads helpers as Bazel's --credential_helper has them: [HOST=]PATH, with commas between several. HOST may be *.DOMAIN, which
// is the domain too; without it the helper is for every host that no other is for. PATH is absolute, begins with %workspace%, or is the
// name of a program on $PATH.
func Parse(helpers, workspace string) (*Helpers, error) {
	h := &Helpers{Workspace: workspace}
	for _, s := range strings.Split(helpers, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		one, err := parse(s, workspace)
		if err != nil {
			return nil, fmt.Errorf("credential helper %q: %w", s, err)
		}
		h.helpers = append(h.helpers, one)
	}
	return h, nil
}

func parse(s, workspace string) (helper, error) {
	scope, path, ok := strings.Cut(s, "=")
	if !ok {
		scope, path = "", s
	}
	host := strings.TrimPrefix(scope, "*.")
	if ok && (host == "" || strings.ContainsAny(host, "*/:")) {
		return helper{}, fmt.Errorf("%q is neither a host nor *.DOMAIN", scope)
	}
	if rest, ok := strings.CutPrefix(path, "%workspace%"); ok {
		if workspace == "" {
			return helper{}, fmt.Errorf("the workspace is not known: run the target with bazel run, or name the helper by an absolute path")
		}
		path = filepath.Join(workspace, filepath.FromSlash(rest))
	}
	if path == "" || !filepath.IsAbs(path) && strings.ContainsAny(path, `/\`) {
		return helper{}, fmt.Errorf("%q is neither an absolute path, nor one below %%workspace%%, nor the name of a program", path)
	}
	return helper{strings.ToLower(scope), path}, nil
}

// Headers returns the headers that requests to uri need: none where no helper is for its host. It may be called concurrently; a
// helper runs once for a URI as long as its answer is good. Who waited while it failed fails too, instead of waiting for it once more.
func (h *Helpers) Headers(ctx context.Context, uri string) (http.Header, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	path := h.pathFor(strings.ToLower(u.Hostname()))
	if path == "" {
		return nil, nil
	}
	a, asked := h.answer(uri), h.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.headers != nil && a.isGood(h.now()):
		return a.headers, nil
	case a.err != nil && !a.ended.Before(asked):
		return nil, a.err
	}
	said, err := h.run(ctx, path, uri)
	a.err = nil
	if err != nil && ctx.Err() == nil {
		a.err, a.ended = fmt.Errorf("credential helper %s: for %s: %w", path, u.Host, err), h.now()
	}
	if err != nil {
		return nil, cmp.Or(a.err, ctx.Err())
	}
	a.headers, a.since, a.until = said.Headers, h.now().Round(0), said.Expires
	if a.headers == nil {
		a.headers = http.Header{}
	}
	if a.until.IsZero() {
		a.until = h.now().Add(cmp.Or(h.Keep, 30*time.Minute))
	}
	return a.headers, nil
}

func (a *answer) isGood(now time.Time) bool { return !now.Before(a.since) && now.Before(a.until) }

// pathFor chooses the helper whose scope is closest to host. Of two with the same scope the later one counts.
func (h *Helpers) pathFor(host string) string {
	path, closest := "", -1
	for _, one := range h.helpers {
		if n := one.closeness(host); n >= 0 && n >= closest {
			path, closest = one.path, n
		}
	}
	return path
}

// closeness is higher the more of host the scope names; negative when it is not for host.
func (h helper) closeness(host string) int {
	domain, wild := strings.CutPrefix(h.scope, "*.")
	switch {
	case h.scope == "":
		return 0
	case !wild && host == h.scope:
		return 2 * (len(host) + 1)
	case wild && (host == domain || strings.HasSuffix(host, "."+domain)):
		return 2*len(domain) + 1
	}
	return -1
}

func (h *Helpers) answer(uri string) *answer {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asked == nil {
		h.asked = map[string]*answer{}
	}
	if h.asked[uri] == nil {
		h.asked[uri] = &answer{}
	}
	return h.asked[uri]
}

func (h *Helpers) now() time.Time {
	if h.Now != nil {
		return h.Now()
	}
	return time.Now()
}
