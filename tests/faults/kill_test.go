package faults_test

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/layer/framecache"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

var (
	rounds = flag.Int("kill-rounds", 10, "how often each kind of work is killed")
	seed   = flag.Uint64("kill-seed", uint64(time.Now().UnixNano()), "when it is killed")
)

// work is what a round kills. check looks for what is half-written, after the kill and after the next run, which succeeded.
type work struct {
	command func() *exec.Cmd
	check   func(t *testing.T, done bool)
}

// TestKill kills each kind of work at a random moment, again and again. A registry that is killed is in cmd/registry.
func TestKill(t *testing.T) {
	t.Logf("-kill-seed=%d", *seed)
	for name, begin := range map[string]func(t *testing.T) func(t *testing.T, round int) work{
		"a push": killedPush, "a pull": killedPull, "a layer with a frame cache": killedLayer, "a layout": killedLayout,
	} {
		t.Run(name, func(t *testing.T) {
			random, next := rand.New(rand.NewPCG(*seed, 0)), begin(t)
			killed, took := 0, time.Duration(0)
			for round := range *rounds {
				w := next(t, round)
				if round > 0 && kill(t, w.command(), time.Duration(random.Int64N(int64(took)))) {
					killed++
				}
				w.check(t, false)
				began := time.Now()
				mustRun(t, w.command())
				took = max(time.Since(began)*11/10, time.Millisecond)
				w.check(t, true)
				if t.Failed() {
					t.Fatalf("round %d", round)
				}
			}
			if killed == 0 && *rounds > 5 {
				t.Error("nothing was killed before it had ended")
			}
			t.Logf("killed %d of %d before they had ended", killed, *rounds)
		})
	}
}

// kill runs a command for a while, and reports whether it was killed before it had ended.
func kill(t *testing.T, c *exec.Cmd, after time.Duration) bool {
	t.Helper()
	bazeltest.Must(t, c.Start())
	defer time.AfterFunc(after, func() { c.Process.Kill() }).Stop()
	err := c.Wait()
	if status := new(exec.ExitError); errors.As(err, &status) && status.ExitCode() >= 0 {
		t.Errorf("it was not killed, but failed: %v\n%s", err, said(c))
	}
	return err != nil
}

// killedPush moves a tag from image to image: it must name a whole one.
func killedPush(t *testing.T) func(*testing.T, int) work {
	host := serve(t, t.TempDir())
	return func(t *testing.T, round int) work {
		folder, err := os.MkdirTemp(t.TempDir(), "")
		bazeltest.Must(t, err)
		push, root := planned(t, folder, host, 300_000, 300_000, 1000)
		return work{push, func(t *testing.T, done bool) {
			got, err := pullWhole(t.Context(), host, "app", "latest")
			if err != nil && (done || round > 0) {
				t.Errorf("latest: %v", err)
			}
			if done && got.Digest != root.Digest {
				t.Errorf("latest is %s: want %s", got.Digest, root.Digest)
			}
			if _, err := pullWhole(t.Context(), host, "app", string(root.Digest)); err != nil && !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("the image is visible, and not whole: %v", err)
			}
			if done {
				bazeltest.Must(t, os.RemoveAll(folder))
			}
		}}
	}
}

func killedPull(t *testing.T) func(*testing.T, int) work {
	host, folder := serve(t, t.TempDir()), t.TempDir()
	push, _ := planned(t, folder, host, 2_000_000, 2_000_000, 1000)
	mustRun(t, push())
	args := []string{"pull", "--registry", host, "--repository", "app", "--tag", "latest"}
	all := blobs(t, folder)
	for _, path := range all {
		if info, err := os.Stat(path); err == nil && info.Size() >= 1000 {
			args = append(args, "--blob", string(digestOf(path)))
		}
	}
	return func(t *testing.T, _ int) work {
		out := filepath.Join(t.TempDir(), "out")
		bazeltest.Must(t, os.RemoveAll(out))
		return work{func() *exec.Cmd { return img(append(args, "--out", out)...) }, func(t *testing.T, done bool) {
			wantWholeBlobs(t, out)
			if got := blobs(t, out); done && len(got) != len(all) {
				t.Errorf("%d blobs were pulled: want %d", len(got), len(all))
			}
		}}
	}
}

// killedLayer has the cache of the earlier rounds, and of the kills in them.
func killedLayer(t *testing.T) func(*testing.T, int) work {
	folder, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	lines := []string{layerHeader, record("blob", folder+"/blob"), record("metadata", folder+"/metadata")}
	for i := range 8 {
		path := filepath.Join(folder, fmt.Sprint("file", i))
		body := strings.Repeat(hex.EncodeToString(blobtest.Bytes(path, 500)), 400)
		bazeltest.Must(t, os.WriteFile(path, []byte(body), 0o644))
		lines = append(lines, fmt.Sprintf(`{"type":"file","path":"file%d","from":%q}`, i, path))
	}
	request := requestFile(t, folder, lines...)
	mustRun(t, img("layer", request)) // without a cache
	want := hashOf(t, folder+"/blob")
	command := func() *exec.Cmd {
		c := img("layer", request)
		c.Env = append(c.Env, "IMG_FRAME_CACHE="+cache)
		return c
	}
	return func(t *testing.T, round int) work {
		if round%3 == 0 {
			bazeltest.Must(t, os.RemoveAll(cache))
		}
		bazeltest.Must(t, errors.Join(os.RemoveAll(folder+"/blob"), os.RemoveAll(folder+"/metadata")))
		return work{command, func(t *testing.T, done bool) {
			if _, err := os.Stat(folder + "/blob"); err == nil || done {
				if got := hashOf(t, folder+"/blob"); got != want {
					t.Errorf("the layer is %s: want %s", got, want)
				}
			}
			if n := wantWholeFrames(t, cache); done && n == 0 {
				t.Error("the cache has no frame")
			}
		}}
	}
}

// wantWholeFrames reads every frame that a cache has, and says how many they are.
func wantWholeFrames(t *testing.T, cache string) int {
	t.Helper()
	c, err := framecache.Open(cache, framecache.DefaultLimit)
	bazeltest.Must(t, err)
	frames, err := filepath.Glob(filepath.Join(cache, "*", "??", "[0-9a-f]*")) // those that are being written are called otherwise
	bazeltest.Must(t, err)
	n := 0
	for _, path := range frames {
		var k framecache.Key
		_, err := hex.Decode(k[:], []byte(filepath.Base(filepath.Dir(path))+filepath.Base(path)))
		bazeltest.Must(t, err)
		if _, ok := c.Get(k, nil); !ok {
			t.Errorf("%s is not whole", path)
		}
		n++
	}
	return n
}

func killedLayout(t *testing.T) func(*testing.T, int) work {
	folder := t.TempDir()
	out := filepath.Join(folder, "out.tar")
	request := layoutRequest(t, folder, "archive", out)
	mustRun(t, img("layout", request))
	want := hashOf(t, out)
	return func(t *testing.T, _ int) work {
		bazeltest.Must(t, os.RemoveAll(out))
		return work{func() *exec.Cmd { return img("layout", request) }, func(t *testing.T, done bool) {
			if _, err := os.Stat(out); err == nil || done {
				if got := hashOf(t, out); got != want {
					t.Errorf("the layout is %s: want %s", got, want)
				}
			}
		}}
	}
}
