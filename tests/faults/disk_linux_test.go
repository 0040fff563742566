package faults_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bazel-contrib/rules_img/internal/bes"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/manifest"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// disk is a folder with little room.
type disk interface {
	// path is the folder.
	path() string
	// used is how much of it is taken, if that is what is limited.
	used(t *testing.T) int64
	// run makes a command one that has the given number of bytes.
	run(t *testing.T, c *exec.Cmd, room int64) *exec.Cmd
}

// newDisk is a file system of its own where that can be mounted, and else a limit of the size of a file, as a quota has.
func newDisk(t *testing.T) disk {
	t.Helper()
	folder := t.TempDir()
	if syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=64m") != nil {
		return quota(folder)
	}
	t.Cleanup(func() { syscall.Unmount(folder, syscall.MNT_DETACH) })
	return tmpfs(folder)
}

type tmpfs string

func (d tmpfs) path() string { return string(d) }

func (d tmpfs) run(t *testing.T, c *exec.Cmd, room int64) *exec.Cmd {
	t.Helper()
	bazeltest.Must(t, syscall.Mount("", string(d), "", syscall.MS_REMOUNT, fmt.Sprint("size=", room)))
	return c
}

type quota string

func (d tmpfs) used(t *testing.T) int64 {
	t.Helper()
	var s syscall.Statfs_t
	bazeltest.Must(t, syscall.Statfs(string(d), &s))
	return int64(s.Blocks-s.Bfree) * s.Bsize
}

func (quota) used(*testing.T) int64 { return 0 }

func (d quota) path() string { return string(d) }

func (d quota) run(t *testing.T, c *exec.Cmd, room int64) *exec.Cmd {
	t.Helper()
	shell := exec.Command("sh", append([]string{"-c", fmt.Sprintf(`ulimit -f %d; exec "$@"`, room/512), "sh"}, c.Args...)...)
	shell.Env, shell.Stderr = c.Env, c.Stderr
	return shell
}

// onto is work whose output goes to a folder: begin returns the command, and what looks for things half-written.
type onto func(t *testing.T, inputs, out string) (command func() *exec.Cmd, whole func(t *testing.T))

var allOnto = map[string]onto{
	"a layer":                      layerOnto("gzip"),
	"a layer in zstd":              layerOnto("zstd"),
	"a layer from a tar":           layerFromTarOnto(false),
	"a layer from a tar, in order": layerFromTarOnto(true),
	"a layout that is a tar":       layoutOnto("archive"),
	"a layout that is a folder":    layoutOnto("directory"),
	"a pull":                       pullOnto,
}

// TestAFullDisk gives each kind of work more and more room, until it is enough: before that it says where there was none, and leaves
// nothing that could be taken for the whole. Then it takes away the last of the room that was needed.
func TestAFullDisk(t *testing.T) {
	for name, begin := range allOnto {
		t.Run(name, func(t *testing.T) {
			d := newDisk(t)
			out := filepath.Join(d.path(), "out")
			bazeltest.Must(t, os.Mkdir(out, 0o755))
			command, whole := begin(t, t.TempDir(), out)
			fits := func(room int64) bool {
				c := d.run(t, command(), room)
				err := c.Run()
				if text := said(c); err != nil && (!saysFull(text) || !strings.Contains(text, d.path())) {
					t.Errorf("with room for %d bytes it says: %s", room, text)
				}
				whole(t)
				return err == nil
			}
			room := int64(64 << 10)
			for !fits(room) {
				if room *= 2; room > 64<<20 {
					t.Fatal("there is never enough room")
				}
			}
			if room < 1<<20 {
				t.Errorf("%d bytes were enough", room)
			}
			if used := d.used(t); used > 0 {
				bazeltest.Must(t, os.RemoveAll(out))
				bazeltest.Must(t, os.Mkdir(out, 0o755))
				if fits(used - 4096) {
					t.Errorf("it needs less than the %d bytes that it took", used)
				}
			}
		})
	}
}

func saysFull(text string) bool {
	return strings.Contains(text, "no space left on device") || strings.Contains(text, "file too large")
}

func layerOnto(format string) onto {
	return func(t *testing.T, inputs, out string) (func() *exec.Cmd, func(*testing.T)) {
		large := filepath.Join(inputs, "large")
		bazeltest.Must(t, os.WriteFile(large, blobtest.Bytes(format, 3<<20), 0o644))
		request := requestFile(t, inputs, strings.Replace(layerHeader, "gzip", format, 1),
			record("blob", out+"/blob"), record("metadata", out+"/metadata"), fmt.Sprintf(`{"type":"file","path":"large","from":%q}`, large))
		return func() *exec.Cmd { return img("layer", request) }, func(t *testing.T) { wantLayer(t, out) }
	}
}

func layerFromTarOnto(optimize bool) onto {
	return func(t *testing.T, inputs, out string) (func() *exec.Cmd, func(*testing.T)) {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		body := blobtest.Bytes("tar", 3<<20)
		bazeltest.Must(t, w.WriteHeader(&tar.Header{Name: "large", Mode: 0o644, Size: int64(len(body))}))
		_, err := w.Write(body)
		bazeltest.Must(t, errors.Join(err, w.Close()))
		source := filepath.Join(inputs, "source.tar")
		bazeltest.Must(t, os.WriteFile(source, b.Bytes(), 0o644))
		request := requestFile(t, inputs,
			fmt.Sprintf(`{"kind":"layer-from-tar","version":1,"name":"//:layer","source":"none","compress":"zstd","level":"1","jobs":"2","estargz":false,"optimize":%v}`, optimize),
			record("source", source), record("blob", out+"/blob"), record("metadata", out+"/metadata"))
		return func() *exec.Cmd { return img("layer-from-tar", request) }, func(t *testing.T) { wantLayer(t, out) }
	}
}

// wantLayer wants of a layer and its metadata that each is whole or absent, and that nothing else is there.
func wantLayer(t *testing.T, out string) {
	t.Helper()
	if body, err := os.ReadFile(out + "/metadata"); err == nil {
		if l, err := manifest.ParseLayer(body); err != nil || hashOf(t, out+"/blob") != l.Digest {
			t.Errorf("the metadata %q is not that of the blob: %v", body, err)
		}
	}
	wantFiles(t, out, "blob", "metadata")
}

func wantFiles(t *testing.T, folder string, allowed ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	bazeltest.Must(t, err)
	for _, e := range entries {
		if !slices.Contains(allowed, e.Name()) {
			t.Errorf("%s is left in %s", e.Name(), folder)
		}
	}
}

func layoutOnto(format string) onto {
	return func(t *testing.T, inputs, out string) (func() *exec.Cmd, func(*testing.T)) {
		request := layoutRequest(t, inputs, format, filepath.Join(out, "layout"))
		return func() *exec.Cmd { return img("layout", request) }, func(t *testing.T) {
			wantFiles(t, out, "layout")
			path := filepath.Join(out, "layout")
			if info, err := os.Stat(path); err != nil || info.IsDir() && !exists(filepath.Join(path, "index.json")) {
				wantWholeBlobs(t, path)
				return
			}
			if c := img("validate", path); c.Run() != nil && strings.Contains(said(c), "img: ") {
				t.Errorf("the layout can't be read: %s", said(c))
			}
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func pullOnto(t *testing.T, inputs, out string) (func() *exec.Cmd, func(*testing.T)) {
	host := serve(t, t.TempDir())
	push, root := planned(t, inputs, host, 3<<20, 1000)
	mustRun(t, push())
	args := []string{"pull", "--registry", host, "--repository", "app", "--digest", string(root.Digest), "--out", out}
	for _, path := range blobs(t, inputs) {
		if digestOf(path) != root.Digest {
			args = append(args, "--blob", string(digestOf(path)))
		}
	}
	return func() *exec.Cmd { return img(args...) }, func(t *testing.T) {
		wantWholeBlobs(t, out)
		if entries, _ := filepath.Glob(filepath.Join(out, "blobs", "sha256", ".*")); len(entries) > 0 {
			t.Errorf("%s is left", entries)
		}
	}
}

// TestAFullDiskOfARegistry pushes to a registry that has too little room, and then to one that has enough, on what the first has left.
func TestAFullDiskOfARegistry(t *testing.T) {
	d := newDisk(t)
	rooms := []int64{256 << 10, 1 << 20}
	if used := usedBy(t, d); used > 0 { // and those in which the last files have no room
		rooms = append(rooms, 3<<20, used-4096, used-8192, used-16384)
	}
	for _, room := range rooms {
		t.Run(fmt.Sprint(room), func(t *testing.T) {
			folder, work := filepath.Join(d.path(), fmt.Sprint(room)), t.TempDir()
			defer os.RemoveAll(folder)
			host, log, stop := startServer(t, d.run(t, registryOn(folder), room))
			push, root := planned(t, work, host, 3<<20)
			c := push()
			if c.Run() == nil || !strings.Contains(said(c), "there is no room left where the registry keeps its files (507 ") {
				t.Errorf("the push says: %s", said(c))
			}
			if _, err := pullWhole(t.Context(), host, "app", "latest"); err == nil {
				t.Error("the tag is there")
			}
			stop()
			if text := log.String(); !saysFull(text) || !strings.Contains(text, folder) {
				t.Errorf("the log says: %s", text)
			}
			wantWholeBlobs(t, folder)
			left, _ := filepath.Glob(filepath.Join(folder, "*", "*"))
			for _, path := range left { // the upload of the config may have been cut when that of the layer failed
				if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() > 1000 {
					t.Errorf("%s is left, of %d bytes", path, info.Size())
				}
			}

			host, _, stop = startServer(t, d.run(t, registryOn(folder), 64<<20))
			defer stop()
			push, _ = planned(t, work, host, 3<<20)
			mustRun(t, push())
			if got, err := pullWhole(t.Context(), host, "app", "latest"); err != nil || got.Digest != root.Digest {
				t.Errorf("latest is %s, %v", got.Digest, err)
			}
		})
	}
}

// usedBy is how much of a disk the image takes; 0 if that is not known.
func usedBy(t *testing.T, d disk) int64 {
	t.Helper()
	folder := filepath.Join(d.path(), "whole")
	host, _, stop := startServer(t, registryOn(folder))
	push, _ := planned(t, t.TempDir(), host, 3<<20)
	mustRun(t, push())
	stop()
	used := d.used(t)
	bazeltest.Must(t, os.RemoveAll(folder))
	return used
}

// TestAFullDiskOfAFrameCache costs only time.
func TestAFullDiskOfAFrameCache(t *testing.T) {
	d, inputs := newDisk(t), t.TempDir()
	out, cache := filepath.Join(inputs, "out"), filepath.Join(d.path(), "cache")
	bazeltest.Must(t, os.Mkdir(out, 0o755))
	command, _ := layerOnto("gzip")(t, inputs, out)
	mustRun(t, command())
	want := hashOf(t, out+"/blob")
	for _, room := range []int64{4096, 256 << 10, 1 << 20, 64 << 20} {
		bazeltest.Must(t, os.RemoveAll(cache))
		c := command()
		c.Env = append(c.Env, "IMG_FRAME_CACHE="+cache)
		c = d.run(t, c, room)
		if _, limitsOutput := d.(quota); !limitsOutput || room > 4<<20 {
			mustRun(t, c)
		}
		if got := hashOf(t, out+"/blob"); got != want {
			t.Errorf("with room for %d bytes the layer is %s: want %s", room, got, want)
		}
		if n := wantWholeFrames(t, cache); room > 4<<20 && n == 0 {
			t.Error("with room there is no frame")
		}
		if files, _ := filepath.Glob(filepath.Join(cache, "*", "??", "new-*")); len(files) > 0 {
			t.Errorf("%s are left", files)
		}
	}
}

// TestAFolderThatMayNotBeWritten is named, and may be written the next time.
func TestAFolderThatMayNotBeWritten(t *testing.T) {
	for name, begin := range allOnto {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			command, whole := begin(t, t.TempDir(), out)
			bazeltest.Must(t, os.Chmod(out, 0o555))
			c := asEverybody(t, command())
			if c.Run() == nil || !strings.Contains(said(c), "permission denied") || !strings.Contains(said(c), out) {
				t.Errorf("it says: %s", said(c))
			}
			bazeltest.Must(t, os.Chmod(out, 0o755))
			whole(t)
			mustRun(t, asEverybody(t, command()))
			whole(t)
		})
	}
}

// TestARegistryThatMayNotWrite says so when it starts, and later in its log. A push then fails, and leaves nothing that seems to be there.
func TestARegistryThatMayNotWrite(t *testing.T) {
	folder := t.TempDir()
	bazeltest.Must(t, os.Chmod(folder, 0o555))
	c := asEverybody(t, registryOn(folder))
	if c.Run() == nil || !strings.Contains(said(c), folder) || !strings.Contains(said(c), "permission denied") {
		t.Errorf("it says: %s", said(c))
	}
	bazeltest.Must(t, os.Chmod(folder, 0o755))
	for _, closed := range []string{"uploads", "blobs/sha256", "temp", "repositories"} {
		t.Run(closed, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			host, log, stop := startServer(t, asEverybody(t, registryOn(folder)))
			before, _ := planned(t, t.TempDir(), host, 500)
			mustRun(t, before())
			push, root := planned(t, t.TempDir(), host, 1000)
			bazeltest.Must(t, os.Chmod(filepath.Join(folder, closed), 0o555))
			c := push()
			err := c.Run()
			if closed != "repositories" && (err == nil || !strings.Contains(said(c), "the registry can't do this; its log says why")) {
				t.Errorf("the push says: %s", said(c))
			}
			got, missing := pullWhole(t.Context(), host, "app", "latest")
			if missing != nil || (got.Digest == root.Digest) != (err == nil) {
				t.Errorf("latest is %s, %v, and the push ended with %v", got.Digest, missing, err)
			}
			bazeltest.Must(t, os.Chmod(filepath.Join(folder, closed), 0o755))
			mustRun(t, push())
			if got, err := pullWhole(t.Context(), host, "app", "latest"); err != nil || got.Digest != root.Digest {
				t.Errorf("latest is %s, %v", got.Digest, err)
			}
			stop()
			if text := log.String(); err != nil && (!strings.Contains(text, "permission denied") || !strings.Contains(text, filepath.Join(folder, closed))) {
				t.Errorf("the log says: %s", text)
			}
		})
	}
}

// TestInputsThatMayNotBeRead are named.
func TestInputsThatMayNotBeRead(t *testing.T) {
	work, host := t.TempDir(), serve(t, t.TempDir())
	push, _ := planned(t, work, host, 1000)
	input := filepath.Join(work, "input")
	bazeltest.Must(t, os.WriteFile(input, []byte("{}"), 0o644))
	layer := requestFile(t, work, layerHeader, record("blob", work+"/blob"), record("metadata", work+"/metadata"), fmt.Sprintf(`{"type":"file","path":"input","from":%q}`, input))
	tokens := filepath.Join(work, "tokens")
	bazeltest.Must(t, os.WriteFile(tokens, []byte("fedcba98765432100123456789abcdef\n"), 0o600))
	closed, _, _ := startServer(t, registryOn(t.TempDir(), "--token-file", tokens))
	knock, _ := planned(t, t.TempDir(), closed, 1000)
	known := knock()
	known.Env = append(known.Env, "REGISTRY_AUTH_FILE="+input)
	for name, c := range map[string]struct {
		command *exec.Cmd
		file    string
	}{
		"a file of a layer": {img("layer", layer), input}, "a request": {img("layer", layer), strings.TrimPrefix(layer, "@")},
		"a plan": {push(), filepath.Join(work, "plan.json")}, "a blob of a plan": {push(), blobs(t, work)[0]}, "credentials": {known, input},
	} {
		t.Run(name, func(t *testing.T) {
			bazeltest.Must(t, os.Chmod(c.file, 0))
			defer os.Chmod(c.file, 0o644)
			less := asEverybody(t, c.command)
			if err, text := less.Run(), said(less); err == nil || !strings.Contains(text, c.file) || !strings.Contains(text, "permission denied") {
				t.Errorf("it says: %s", text)
			}
		})
	}
}

// asEverybody takes from root, if that is who we are, the right to write everywhere.
func asEverybody(t *testing.T, c *exec.Cmd) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		return c
	}
	less := exec.Command("setpriv", append([]string{"--bounding-set", "-dac_override,-dac_read_search"}, c.Args...)...)
	less.Env, less.Stderr = append(c.Env, "PATH="+os.Getenv("PATH")), c.Stderr
	return less
}

// TestAFullDiskOfBuildEvents is no loss: what is not acknowledged is sent again when there is room.
func TestAFullDiskOfBuildEvents(t *testing.T) {
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=32k"); err != nil {
		t.Skip("this user can't mount a small file system: ", err)
	}
	t.Cleanup(func() { syscall.Unmount(folder, syscall.MNT_DETACH) })
	p := new(pushed)
	client := dial(t, serveBES(t, folder, p))
	b := newBuild(t, "build", 40)
	err := b.send(t.Context(), client)
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "no space left on device") || !strings.Contains(err.Error(), folder) {
		t.Errorf("error is %v: want it to be Bazel's to try again, and to name the file", err)
	}
	bazeltest.Must(t, syscall.Mount("", folder, "", syscall.MS_REMOUNT, "size=16m"))
	bazeltest.Must(t, b.send(t.Context(), client))
	if left, _ := filepath.Glob(filepath.Join(folder, "jobs", ".new-*")); len(left) > 0 {
		t.Errorf("%s are left", left)
	}
	jobs, broken, err := bes.ReadJobs(filepath.Join(folder, "jobs"))
	if err != nil || len(broken) > 0 || len(jobs) != 40 {
		t.Errorf("%d jobs, %v, %v", len(jobs), broken, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.Sort(p.seen)
	if n := len(slices.Compact(p.seen)); n != 40 {
		t.Errorf("%d targets were pushed", n)
	}
}
