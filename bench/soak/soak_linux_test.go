package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestSoak is a short one with one pause, which shows that all operations work and that nothing stays that nobody needs. Whether something grows
// takes longer to see.
func TestSoak(t *testing.T) {
	r, err := soak(t.Context(), options{root: "../..", time: 4 * time.Second, shares: []time.Duration{1}, rate: 20, clients: 4, grace: 8 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.verdict(); err != nil {
		t.Error(err)
	}
	for _, s := range r.servers {
		for _, m := range []string{resident, heap, goroutines, openFiles, diskFiles} {
			if r.pauses[0].seen[s.name][m] == 0 {
				t.Errorf("%s: %s is not measured", s.name, m)
			}
		}
	}
	for _, op := range operations {
		if r.done[op.name] == 0 {
			t.Errorf("%s: none", op.name)
		}
	}
}

func TestVerdict(t *testing.T) {
	const start = 100e6
	grown := func(name string, to float64) *report {
		r := &report{servers: []server{{name: "registry"}}}
		for _, v := range []float64{start, to} {
			seen := map[string]float64{}
			for _, m := range measures {
				seen[m.name] = start
			}
			seen[beyondLive] = 0
			if v != start || name == beyondLive {
				seen[name] = v
			}
			r.pauses = append(r.pauses, look{seen: map[string]map[string]float64{"registry": seen}})
		}
		return r
	}
	for _, m := range measures {
		if err := grown(m.name, start).verdict(); (err != nil) != (m.name == beyondLive) {
			t.Errorf("%s that has not grown: %v", m.name, err)
		}
		err := grown(m.name, 2*start).verdict()
		if m.free != (err == nil) || err != nil && !strings.Contains(err.Error(), "registry: "+m.name) {
			t.Errorf("%s that has doubled: %v", m.name, err)
		}
	}
	r := grown(disk, start)
	r.errs = []error{errors.New("pulls: 500")}
	if err := r.verdict(); err == nil {
		t.Error("an operation that failed is nothing")
	}
}
