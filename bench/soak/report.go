package main

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// What is measured of each server.
const (
	resident   = "resident memory"
	heap       = "heap in use"
	goroutines = "goroutines"
	openFiles  = "open files"
	disk       = "disk"
	diskFiles  = "files on disk"
	beyondLive = "of them needed by nobody"
)

// measure is one of these, and what it may have grown by at a pause: a share of what it was after the warm-up, and a number.
type measure struct {
	name        string
	share, room float64
	megabytes   bool
	free        bool // grows with what is live
}

// The rooms are for what differs from one pause to another: when garbage was collected last, and connections that are idle.
var measures = []measure{
	{name: resident, share: 0.3, room: 16e6, megabytes: true},
	{name: heap, share: 0.25, room: 4e6, megabytes: true},
	{name: goroutines, share: 0.25, room: 24},
	{name: openFiles, share: 0.25, room: 16},
	{name: disk, megabytes: true, free: true},
	{name: diskFiles, free: true},
	{name: beyondLive},
}

func (m measure) text(v float64) string {
	switch {
	case !m.megabytes:
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) < 1e6:
		return fmt.Sprintf("%.0f kB", v/1e3)
	}
	return fmt.Sprintf("%.1f MB", v/1e6)
}

// look is what was seen at once.
type look struct {
	at   time.Time
	seen map[string]map[string]float64 // by server
}

// report is what was seen.
type report struct {
	options
	servers []server
	load    []look // while there was load
	pauses  []look
	done    map[string]int
	errs    []error
}

func (r *report) look() (look, error) {
	l := look{time.Now(), map[string]map[string]float64{}}
	for _, s := range r.servers {
		seen, err := s.look()
		if err != nil {
			return l, err
		}
		l.seen[s.name] = seen
	}
	return l, nil
}

// sample is for the time of load. A server that has died is found out at the next pause.
func (r *report) sample() {
	if l, err := r.look(); err == nil {
		r.load = append(r.load, l)
	}
}

// pause is for a pause.
func (r *report) pause() error {
	l, err := r.look()
	if err != nil {
		return err
	}
	for _, s := range r.servers {
		used, err := s.disk()
		if err != nil {
			return err
		}
		seen := l.seen[s.name]
		seen[disk], seen[diskFiles], seen[beyondLive] = float64(used.bytes), float64(used.files), float64(used.beyond)
	}
	r.pauses = append(r.pauses, l)
	return nil
}

// verdict is an error for what has grown, and for what went wrong.
func (r *report) verdict() error {
	errs := slices.Clone(r.errs)
	for _, s := range r.servers {
		for _, m := range measures {
			first, last := r.pauses[0].seen[s.name][m.name], r.pauses[len(r.pauses)-1].seen[s.name][m.name]
			if m.name == beyondLive {
				first = 0
			}
			if most := first*(1+m.share) + m.room; !m.free && last > most {
				errs = append(errs, fmt.Errorf("%s: %s: %s at the end, and %s after the warm-up: at most %s can be explained",
					s.name, m.name, m.text(last), m.text(first), m.text(most)))
			}
		}
	}
	return errors.Join(errs...)
}

// slope is the growth in an hour under load after the warm-up, by least squares.
func (r *report) slope(server, name string) (perHour float64, ok bool) {
	var n, sx, sy, sxx, sxy float64
	for _, l := range r.load {
		y, measured := l.seen[server][name]
		if x := l.at.Sub(r.pauses[0].at).Hours(); x > 0 && measured {
			n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
		}
	}
	if n < 2 {
		return 0, false
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx), true
}

func (r *report) table() string {
	lines := []string{
		"| server | | after the warm-up | in the middle | at the end | in an hour, under load |",
		"|---|---|---:|---:|---:|---:|",
	}
	for _, s := range r.servers {
		name := s.name
		for _, m := range measures {
			slope := ""
			if perHour, ok := r.slope(s.name, m.name); ok {
				slope = m.text(perHour)
				if perHour >= 0 {
					slope = "+" + slope
				}
			}
			row := fmt.Sprintf("| %s | %s |", name, m.name)
			for _, p := range r.pauses {
				row += " " + m.text(p.seen[s.name][m.name]) + " |"
			}
			lines, name = append(lines, row+" "+slope+" |"), ""
		}
	}
	var done []string
	for _, name := range slices.Sorted(maps.Keys(r.done)) {
		done = append(done, fmt.Sprintf("%s %d", name, r.done[name]))
	}
	return strings.Join(lines, "\n") + fmt.Sprintf("\n\nIn %v of load: %s.\n", r.time, strings.Join(done, ", "))
}
