//go:build linux

// Package daemons_test loads images into real daemons of several versions, looks at them with the daemons' own
// commands, runs them, and counts what went over the sockets. tools/daemons gets and starts the daemons, which takes
// root; elsewhere the tests are skipped and say why, unless IMG_TEST_DAEMONS=required.
package daemons_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// suites are the releases of Debian whose daemons are tested.
var suites = []string{"bookworm", "trixie", "forky"}

// running are the daemons of this process, each started once.
var running = struct {
	sync.Mutex
	daemons map[string]*launched
}{daemons: map[string]*launched{}}

type launched struct {
	once sync.Once
	d    *process
	err  error
}

// process is a daemon that runs.
type process struct {
	kind, suite string
	dir, root   string
	front       string // a socket to use instead
	cmd         *exec.Cmd
	ended       chan struct{}
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, r := range running.daemons {
		if r.d != nil {
			r.d.stop()
		}
	}
	if dir, err := scratch(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// start returns a daemon of a kind that tools/daemons/up knows. All tests share it, so they use names and contents of
// their own.
func start(t testing.TB, kind, suite string) *process {
	t.Helper()
	needRoot(t)
	key := kind + " " + suite
	running.Lock()
	r := running.daemons[key]
	if r == nil {
		r = &launched{}
		running.daemons[key] = r
	}
	running.Unlock()
	r.once.Do(func() { r.d, r.err = launch(kind, suite, "") })
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.d
}

// needRoot skips the test where no daemon can run.
func needRoot(t testing.TB) {
	t.Helper()
	if reason := whyNot(); reason != "" {
		if os.Getenv("IMG_TEST_DAEMONS") == "required" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
}

// whyNot says what keeps daemons from running here, or nothing.
var whyNot = sync.OnceValue(func() string {
	if os.Getuid() != 0 {
		return "container daemons are tested as root only"
	}
	for _, program := range []string{"unshare", "dpkg-deb", "apt-get"} {
		if _, err := exec.LookPath(program); err != nil {
			return "container daemons need " + program + " to be got and started"
		}
	}
	if out, err := exec.Command("unshare", "--mount", "--propagation", "private", "mount", "-t", "tmpfs", "tmpfs", "/mnt").CombinedOutput(); err != nil {
		return fmt.Sprintf("container daemons need mounts of their own, which are not allowed here: %v: %s", err, out)
	}
	for _, suite := range suites {
		if out, err := exec.Command("../../tools/daemons/get", suite).CombinedOutput(); err != nil {
			return fmt.Sprintf("the daemons of Debian %s could not be fetched: %v: %s", suite, err, out)
		}
	}
	return ""
})

// launch starts a daemon and waits until it listens. Its folder is short, because a socket's path must be.
func launch(kind, suite, extra string) (*process, error) {
	root, err := exec.Command("../../tools/daemons/get", suite).Output()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/tmp", "img-daemon-")
	if err != nil {
		return nil, err
	}
	if extra != "" {
		if err := os.WriteFile(filepath.Join(dir, "extra.toml"), []byte(extra), 0o644); err != nil {
			return nil, err
		}
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	d := &process{kind: kind, suite: suite, dir: dir, root: strings.TrimSpace(string(root))}
	d.cmd = exec.Command("../../tools/daemons/up", kind, suite, dir)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := d.begin(); err != nil {
		return nil, err
	}
	for range 300 {
		if conn, err := net.Dial("unix", d.socket()); err == nil {
			conn.Close()
			return d, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	said, _ := os.ReadFile(log.Name())
	d.stop()
	return nil, fmt.Errorf("%s of %s does not listen on %s:\n%s", kind, suite, d.socket(), said[max(0, len(said)-3000):])
}

// begin starts the process, which ends when this one does, in whatever way. It is the thread that started it whose end
// counts, so one is kept for it.
func (d *process) begin() error {
	started := make(chan error)
	d.ended = make(chan struct{})
	go func() {
		runtime.LockOSThread()
		err := d.cmd.Start()
		started <- err
		if err == nil {
			d.cmd.Wait()
		}
		close(d.ended)
	}()
	return <-started
}

// socket is where the daemon listens.
func (d *process) socket() string {
	name, _, _ := strings.Cut(d.kind, "-")
	if d.front != "" {
		return d.front
	}
	return filepath.Join(d.dir, name+".sock")
}

// stop ends the daemon, and what it started, and removes its folder.
func (d *process) stop() {
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
	case <-time.After(15 * time.Second):
	}
	syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
	<-d.ended
	os.RemoveAll(d.dir)
}

// run runs a command inside the daemon's root and returns what it prints.
func (d *process) run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := d.try(args...)
	if err != nil {
		t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return out
}

func (d *process) try(args ...string) (string, error) {
	cmd := exec.Command("../../tools/daemons/enter", append([]string{d.root, d.dir}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out)), err
}

// docker runs docker's command.
func (d *process) docker(t testing.TB, args ...string) string {
	t.Helper()
	return d.run(t, append([]string{"docker", "-H", "unix://" + d.socket()}, args...)...)
}

// ctr runs containerd's command.
func (d *process) ctr(t testing.TB, namespace string, args ...string) string {
	t.Helper()
	return d.run(t, append([]string{"ctr", "-a", d.socket(), "-n", namespace}, args...)...)
}

// ctrRun runs a container of an image and returns what it prints.
func (d *process) ctrRun(t testing.TB, namespace, name string) string {
	t.Helper()
	return d.ctr(t, namespace, "run", "--rm", "--fifo-dir", filepath.Join(d.dir, "fifo"), name, "c")
}

// runImage runs a container of an image, by whatever command the daemon has, and returns what it prints.
func (d *process) runImage(t testing.TB, name string) string {
	t.Helper()
	switch {
	case d.kind == "containerd":
		return d.ctrRun(t, "default", "docker.io/library/"+name+":latest")
	case strings.HasPrefix(d.kind, "podman"):
		return d.podman(t, "run", "--rm", "--network", "none", name)
	}
	return d.docker(t, "run", "--rm", "--network", "none", name)
}

// podmanCommand is what runs podman's command, to be followed by its arguments.
func (d *process) podmanCommand(t testing.TB) []string {
	t.Helper()
	env, err := os.ReadFile(filepath.Join(d.dir, "env"))
	if err != nil {
		t.Fatal(err)
	}
	return append(append([]string{"env"}, strings.Fields(string(env))...), "podman")
}

// podman runs podman's command.
func (d *process) podman(t testing.TB, args ...string) string {
	t.Helper()
	return d.run(t, append(d.podmanCommand(t), args...)...)
}
