package faults_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// jump moves the time of all files by days, which to a program is as if the clock had been set by as many the other way.
func jump(t *testing.T, folder string, days int) {
	t.Helper()
	bazeltest.Must(t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		bazeltest.Must(t, err)
		then := info.ModTime().AddDate(0, 0, -days)
		return os.Chtimes(path, then, then)
	}))
}

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for late := time.Now().Add(time.Minute); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("in a minute it was not so that", what)
		}
	}
}

// TestTheClockOfARegistryJumps while a push goes on: images stay, and what was uploaded for one is still there, or is sent again.
func TestTheClockOfARegistryJumps(t *testing.T) {
	for name, days := range map[string]int{"forward": 400, "back": -400} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			host, _, stop := startServer(t, registryOn(folder))
			push, root := planned(t, t.TempDir(), host, 100_000)
			mustRun(t, push())
			upload(t, host, []byte("no manifest names it yet"))
			begun(t, host)
			stop()
			jump(t, folder, days)

			host, log, stop := startServer(t, registryOn(folder)) // which looks at once for what is old
			blob := filepath.Join(folder, "repositories", "app", "blobs", "sha256-"+oci.DigestOf([]byte("no manifest names it yet")).Encoded())
			there := func() (there int) { // not by asking for them, for which they would be kept
				uploads, err := filepath.Glob(filepath.Join(folder, "uploads", "*"))
				bazeltest.Must(t, err)
				if there = len(uploads); exists(blob) {
					there++
				}
				return there
			}
			if days > 0 {
				await(t, "what nothing names is gone", func() bool { return there() == 0 })
			}
			if got, err := pullWhole(t.Context(), host, "app", "latest"); err != nil || got.Digest != root.Digest {
				t.Errorf("latest is %s, %v", got.Digest, err)
			}
			push, root = planned(t, t.TempDir(), host, 100_000, 1000)
			mustRun(t, push())
			if got, err := pullWhole(t.Context(), host, "app", "latest"); err != nil || got.Digest != root.Digest {
				t.Errorf("latest is %s, %v: want the image that was pushed after the jump", got.Digest, err)
			}
			stop()
			if days < 0 && there() != 2 {
				t.Error("what may still be named is gone")
			}
			if strings.Contains(log.String(), "level=ERROR") {
				t.Errorf("the log says: %s", log)
			}
		})
	}
}

// TestTheClockOfAServiceJumps while a build goes on. What was accepted is pushed; what the build has to say again, it is told.
func TestTheClockOfAServiceJumps(t *testing.T) {
	for name, days := range map[string]int{"forward": 400, "back": -400} {
		t.Run(name, func(t *testing.T) {
			all, state := newBuilds(t), t.TempDir()
			host, _, stop := startServer(t, besOn(state, all.files))
			b := all.next(t, name, 3)
			rest := b.requests[3:] // after the set of files of the second target, before the target
			b.requests = b.requests[:3]
			bazeltest.Must(t, b.send(t.Context(), dial(t, host)))
			stop()
			jump(t, state, days)

			host, _, stop = startServer(t, besOn(state, all.files))
			defer stop()
			if days > 0 {
				await(t, "the build is forgotten", func() bool { return !exists(filepath.Join(state, "streams", name+".sets")) })
			}
			b.requests = append(b.requests, rest...)
			err := b.send(t.Context(), dial(t, host))
			if days < 0 {
				bazeltest.Must(t, err)
				all.wantPushed(t, state, name, 3)
				return
			}
			if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "1 of 3 plans could not be pushed: //:forward1: ") || !strings.Contains(err.Error(), "build again") {
				t.Errorf("the build is told: %v", err)
			}
			for _, i := range []int{0, 2} {
				if _, err := pullWhole(t.Context(), all.host, "app", tagOf(name, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
