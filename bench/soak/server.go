package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/bazel-contrib/rules_img/internal/bes"
)

// server is a process that is looked at.
type server struct {
	name    string
	pid     int
	metrics string // host:port
	dir     string
	// beyond reports of a file below dir whether nobody needs it any more.
	beyond func() (func(path string) bool, error)
}

// usage is what is below a directory.
type usage struct{ bytes, files, beyond int64 }

// disk counts files, by the blocks that they take.
func (s server) disk() (u usage, err error) {
	beyond, err := s.beyond()
	if err != nil {
		return u, err
	}
	err = filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && e.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return nil // it is gone
		}
		u.files++
		u.bytes += info.Size()
		if rel, _ := filepath.Rel(s.dir, path); beyond(rel) {
			u.beyond++
		}
		return nil
	})
	return u, err
}

// look is what the process uses.
func (s server) look() (map[string]float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		return nil, fmt.Errorf("%s has ended: %w", s.name, err)
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.pid))
	if err != nil {
		return nil, err
	}
	answer, err := http.Get("http://" + s.metrics + "/metrics")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	defer answer.Body.Close()
	var said bytes.Buffer
	if _, err := said.ReadFrom(answer.Body); err != nil {
		return nil, err
	}
	return map[string]float64{
		resident: number(string(status), "VmRSS:") * 1024, heap: number(said.String(), "\ngo_gc_heap_live_bytes "),
		goroutines: number(said.String(), "\ngo_goroutines "), openFiles: float64(len(open)),
	}, nil
}

// number is what follows a word.
func number(text, after string) (n float64) {
	_, rest, _ := strings.Cut(text, after)
	fmt.Sscan(rest, &n)
	return n
}

var hexDigest = regexp.MustCompile(`[0-9a-f]{64}`)

// beyondImages is for the registry: what is of no image that is live, uploads, and what is half-written.
func (w *world) beyondImages() (func(string) bool, error) {
	live := w.live()
	return func(path string) bool {
		if strings.HasPrefix(path, "uploads/") || strings.HasPrefix(path, "temp/") {
			return true
		}
		digest := hexDigest.FindString(filepath.Base(path))
		return digest != "" && !live[digest]
	}, nil
}

// beyondBuilds is for the build event service: streams, since none is open, and jobs that need not be remembered.
func (w *world) beyondBuilds(dir string) (func(string) bool, error) {
	jobs, broken, err := bes.ReadJobs(filepath.Join(dir, "jobs"))
	if err = errors.Join(append(broken, err)...); err != nil {
		return nil, err
	}
	var last time.Time
	for _, j := range jobs {
		if j.Ended.After(last) {
			last = j.Ended
		}
	}
	keep, extra := map[string]bool{}, max(0, len(jobs)-keepJobs)
	for i, j := range jobs {
		keep["jobs/"+j.ID+".json"] = i >= extra || last.Sub(j.Ended) <= w.grace
	}
	return func(path string) bool { return path != "lock" && !keep[path] }, nil
}
