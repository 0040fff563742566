package bes

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// jobVersion is the version of a job's file.
const jobVersion = 1

// temporary begins the names of files that are being written.
const temporary = ".new-"

// makeDir makes the directory of jobs, without what a process that died was writing.
func makeDir(dir string) error {
	if err := mkdir(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), temporary) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// ReadJobs reads the jobs in a directory, in the order in which they were accepted, and the errors for files that are none. What can't be read
// may be a job, and is an error of its own. Another process may be writing there.
func ReadJobs(dir string) (jobs []Job, broken []error, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".json" {
			continue
		}
		path := filepath.Join(dir, e.Name())
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // forgotten meanwhile
		}
		if err != nil {
			return nil, nil, err
		}
		j, err := parseJob(b, e.Name())
		if err != nil {
			broken = append(broken, fmt.Errorf("%s: %w", path, err))
			continue
		}
		jobs = append(jobs, j)
	}
	slices.SortFunc(jobs, inOrder)
	return jobs, broken, nil
}

// inOrder compares by the time of acceptance.
func inOrder(a, b Job) int {
	return cmp.Or(a.Accepted.Compare(b.Accepted), strings.Compare(a.ID, b.ID))
}

func parseJob(b []byte, name string) (j Job, err error) {
	if err := json.Unmarshal(b, &j); err != nil {
		return j, err
	}
	if j.Version != jobVersion || j.ID+".json" != name || !slices.Contains([]string{Accepted, Done, Failed}, j.State) {
		return j, fmt.Errorf("is no job of version %d", jobVersion)
	}
	return j, nil
}

func (q *Queue) path(id string) string { return filepath.Join(q.Dir, id+".json") }

// write writes a job's file beside its place, and renames it when it is on the disk.
func (q *Queue) write(j Job) error {
	b, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(q.Dir, temporary)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), q.path(j.ID))
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return syncDir(q.Dir)
}

// mkdir makes a directory that survives what its files survive.
func mkdir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// syncDir makes the names in dir durable. Windows has no such call, and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
