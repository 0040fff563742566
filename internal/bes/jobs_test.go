package bes

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// FuzzJob takes bytes for the file of a job: it is that job, or it is reported.
func FuzzJob(f *testing.F) {
	f.Add([]byte(`{"version": 1, "id": "x", "invocation": "i", "target": "//:t", "asked": true, "plan": {"name": "p", "contents": "e30="}, "state": "accepted", "accepted": "2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"version": 2, "id": "x"}`))
	f.Add([]byte(`{"version": 1, "id": "../x", "accepted": "9999-12-31T23:59:59Z"}`))
	f.Add([]byte(`{"version": 1, "id": "x"`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, "x.json"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		jobs, broken, err := ReadJobs(dir)
		if err != nil || len(jobs)+len(broken) != 1 {
			t.Fatalf("%d jobs, %d broken, %v", len(jobs), len(broken), err)
		}
		if len(jobs) == 0 {
			return
		}
		q := Queue{QueueOptions: QueueOptions{Dir: dir}}
		if err := q.write(jobs[0]); err != nil {
			t.Fatal(err)
		}
		again, _, err := ReadJobs(dir)
		if err != nil {
			t.Fatal(err)
		}
		// In JSON, where there is one way to write nothing, and a time.
		before, _ := json.Marshal(jobs)
		after, _ := json.Marshal(again)
		if !bytes.Equal(before, after) {
			t.Errorf("written again it is %s, and was %s", after, before)
		}
	})
}
