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
	left, err := filepath.Glob(filepath.Join(dir, temporary+"*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// ReadJobs reads the jobs in a directory, in the order in which they were accepted, and the errors for those that can't be read. Another
// process may be writing there.
func ReadJobs(dir string) (jobs []Job, broken []error, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, nil, err
	}
	for _, path := range paths {
		j, err := readJob(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
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

func readJob(path string) (j Job, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return j, err
	}
	if err := json.Unmarshal(b, &j); err != nil {
		return j, err
	}
	if j.Version != jobVersion || j.ID+".json" != filepath.Base(path) {
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
