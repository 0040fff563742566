package faults_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bazel-contrib/rules_img/internal/bes"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// builds are of targets that push one image, each by a tag of its own.
type builds struct {
	host, files string
	root        oci.Descriptor
}

func newBuilds(t *testing.T) builds {
	t.Helper()
	b := builds{host: serve(t, t.TempDir()), files: t.TempDir()}
	b.root = blobtest.Image(t, dir.Store{Root: filepath.Join(b.files, "image"), Volatile: true}, linux, blobtest.Bytes(t.Name(), 10_000))
	return b
}

func (b builds) next(t *testing.T, invocation string, targets int) *build {
	t.Helper()
	image := filepath.Join(b.files, "image")
	return newBuildOf(t, invocation, targets, func(i int) (label, uri string) {
		tag := tagOf(invocation, i)
		plan, err := deploy.Plan{Version: deploy.Version, Name: "//:" + tag, Blobs: blobFiles(t, image), Operations: []deploy.Operation{{
			Kind: deploy.KindPush, Name: "//:" + tag, Root: b.root, Registry: b.host, Repository: "app", Tags: []string{tag}, Strategy: "bes",
		}}}.Encode()
		bazeltest.Must(t, err)
		path := filepath.Join(b.files, tag)
		bazeltest.Must(t, os.WriteFile(path+".plan.json", plan, 0o644))
		bazeltest.Must(t, os.Symlink(image, path+".runfiles"))
		return fmt.Sprint("//:", invocation, i), "file://" + path + ".plan.json"
	})
}

func tagOf(invocation string, i int) string { return fmt.Sprint(invocation, "-", i) }

// wantPushed wants all targets of a build to be in the registry, and to be known as pushed.
func (b builds) wantPushed(t *testing.T, state, invocation string, targets int) {
	t.Helper()
	for i := range targets {
		if got, err := pullWhole(t.Context(), b.host, "app", tagOf(invocation, i)); err != nil || got.Digest != b.root.Digest {
			t.Errorf("%s: target %d is %s, %v", invocation, i, got.Digest, err)
		}
	}
	jobs, broken, err := bes.ReadJobs(filepath.Join(state, "jobs"))
	done := 0
	for _, j := range jobs {
		if j.Invocation == invocation && j.State == bes.Done {
			done++
		}
	}
	if err != nil || len(broken) > 0 || done != targets {
		t.Errorf("%s: %d of %d targets are done: %v, %v", invocation, done, targets, broken, err)
	}
}

// wantUnavailable wants an error that Bazel tries again after, and that says what is wrong with which file.
func wantUnavailable(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), word) {
			t.Errorf("the build is told %v: want it to be tried again, and %q", err, word)
		}
	}
}

// TestAServiceThatMayNotWrite says so when it starts, and later to the build, which loses nothing.
func TestAServiceThatMayNotWrite(t *testing.T) {
	all, state := newBuilds(t), t.TempDir()
	bazeltest.Must(t, os.Chmod(state, 0o555))
	c := asEverybody(t, besOn(state, all.files))
	if c.Run() == nil || !strings.HasPrefix(said(c), "bes: ") || !strings.Contains(said(c), state) || !strings.Contains(said(c), "permission denied") {
		t.Errorf("it says: %s", said(c))
	}
	bazeltest.Must(t, os.Chmod(state, 0o755))
	for _, folder := range []string{"streams", "jobs"} {
		host, _, stop := startServer(t, asEverybody(t, besOn(state, all.files)))
		client, b, closed := dial(t, host), all.next(t, folder, 3), filepath.Join(state, folder)
		bazeltest.Must(t, os.Chmod(closed, 0o555))
		wantUnavailable(t, b.send(t.Context(), client), "permission denied", closed)
		bazeltest.Must(t, os.Chmod(closed, 0o755))
		bazeltest.Must(t, b.send(t.Context(), client))
		stop()
		all.wantPushed(t, state, folder, 3)
	}
}

// TestAFullDiskOfAService fills the disk, kills the service, and starts it on the disk that is still full.
func TestAFullDiskOfAService(t *testing.T) {
	const targets = 40
	all, folder := newBuilds(t), t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("this user can't mount a small file system: ", err)
	}
	t.Cleanup(func() { syscall.Unmount(folder, syscall.MNT_DETACH) })
	state := filepath.Join(folder, "state")
	b := all.next(t, "build", targets)
	every := b.requests
	for range 2 {
		host, _, stop := startServer(t, besOn(state, all.files))
		b.requests = every[:max(4, b.acknowledged)] // for which there is room
		bazeltest.Must(t, b.send(t.Context(), dial(t, host)))
		b.requests = every
		wantUnavailable(t, b.send(t.Context(), dial(t, host)), "no space left on device", state)
		stop()
	}
	bazeltest.Must(t, syscall.Mount("", folder, "", syscall.MS_REMOUNT, "size=16m"))
	host, _, _ := startServer(t, besOn(state, all.files))
	bazeltest.Must(t, b.send(t.Context(), dial(t, host)))
	all.wantPushed(t, state, "build", targets)
}

// TestABuildWritesNoLog has a target and a plan whose names would be lines of the log, or control who reads it.
func TestABuildWritesNoLog(t *testing.T) {
	const bad = "x\nlevel=ERROR msg=forged\x1b[2J\r\n\u009b2J"
	state := t.TempDir()
	host, log, stop := startServer(t, besOn(state, t.TempDir()))
	b := newBuildOf(t, "build", 1, func(int) (label, uri string) { return "//:" + bad, "file:///" + bad })
	if err := b.send(t.Context(), dial(t, host)); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("the build is told %v", err)
	}
	b = newBuild(t, bad, 1)
	if err := b.send(t.Context(), dial(t, host)); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a build of this name is told %v", err)
	}
	stop()
	said := exec.Command(filepath.Join(programs, "bes"), "status", "--state", state)
	out, err := said.CombinedOutput()
	bazeltest.Must(t, err)
	for what, text := range map[string]string{"the log": log.String(), "the status": string(out)} {
		if !strings.Contains(text, "forged") {
			t.Errorf("%s does not tell of it:\n%s", what, text)
		}
		if strings.Contains(text, "\nlevel") || strings.ContainsAny(text, "\x1b\u009b\r") {
			t.Errorf("a build wrote into %s:\n%q", what, text)
		}
	}
}

// TestKillOfAService kills it while a build goes on. The build sends again what was not acknowledged, and all is pushed.
func TestKillOfAService(t *testing.T) {
	t.Logf("-kill-seed=%d", *seed)
	const targets = 8
	all, state := newBuilds(t), t.TempDir()
	random := rand.New(rand.NewPCG(*seed, 0))
	killed, took := 0, time.Millisecond
	for round := range *rounds {
		invocation := fmt.Sprint("round", round)
		b := all.next(t, invocation, targets)
		c := besOn(state, all.files)
		host, _, stop := startServer(t, c)
		if round > 0 {
			time.AfterFunc(time.Duration(random.Int64N(int64(took))), func() { c.Process.Kill() })
		}
		began := time.Now()
		err := b.send(t.Context(), dial(t, host))
		stop()
		if err != nil {
			killed++
			host, _, stop = startServer(t, besOn(state, all.files))
			bazeltest.Must(t, b.send(t.Context(), dial(t, host)))
			stop()
		} else {
			took = max(time.Since(began), time.Millisecond)
		}
		all.wantPushed(t, state, invocation, targets)
		if left, _ := filepath.Glob(filepath.Join(state, "jobs", ".new-*")); err == nil && len(left) > 0 {
			t.Errorf("%s are left", left)
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	if killed == 0 && *rounds > 5 {
		t.Error("nothing was killed before it had ended")
	}
	t.Logf("killed %d of %d before they had ended", killed, *rounds)
}
