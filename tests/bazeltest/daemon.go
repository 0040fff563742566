//go:build linux

package bazeltest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Debian is the small Debian of tools/daemons, in which commands run.
type Debian struct {
	Dir string // which the commands see too, at the same path

	root string
}

// Daemon is a container daemon that runs for the length of a test.
type Daemon struct {
	Debian
	Socket string
}

// NewDebian returns the Debian of a release, or ends the test: skipped where containers cannot run, with what keeps them from
// it, and failed there with IMG_TEST_DAEMONS=required.
func NewDebian(t testing.TB, suite string) Debian {
	t.Helper()
	if reason := NoDaemons(); reason != "" {
		SkipUnlessRequired(t, reason)
	}
	cmd := exec.Command(daemonTool(t, "get"), suite)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	Must(t, err)
	return Debian{Dir: ShortDir(t), root: strings.TrimSpace(string(out))}
}

// ShortDir is a folder for the length of a test, whose path is short, as those of sockets must be.
func ShortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "img-")
	Must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// SkipUnlessRequired ends a test that cannot run here.
func SkipUnlessRequired(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("IMG_TEST_DAEMONS") == "required" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// NoDaemons says why daemons cannot run here, or nothing.
var NoDaemons = sync.OnceValue(func() string {
	if os.Getuid() != 0 {
		return "containers are run as root only"
	}
	if out, err := exec.Command("unshare", "--mount", "true").CombinedOutput(); err != nil {
		return fmt.Sprintf("containers need mounts of their own, which are not allowed here: %v: %s", err, out)
	}
	return ""
})

// StartDaemon starts a daemon of a kind that tools/daemons/up knows.
func StartDaemon(t testing.TB, kind, suite string) Daemon {
	t.Helper()
	debian := NewDebian(t, suite)
	name, _, _ := strings.Cut(kind, "-")
	d := Daemon{Debian: debian, Socket: filepath.Join(debian.Dir, name+".sock")}

	log, err := os.Create(filepath.Join(d.Dir, "log"))
	Must(t, err)
	defer log.Close()
	cmd := exec.Command(daemonTool(t, "up"), kind, suite, d.Dir)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	Must(t, cmd.Start())
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		cmd.Wait()
	})
	for range 300 {
		if conn, err := net.Dial("unix", d.Socket); err == nil {
			conn.Close()
			return d
		}
		time.Sleep(100 * time.Millisecond)
	}
	said, _ := os.ReadFile(log.Name())
	t.Fatalf("%s does not listen:\n%s", kind, said)
	return d
}

// Command is how a command is run in it.
func (d Debian) Command(t testing.TB, command ...string) []string {
	t.Helper()
	return append([]string{daemonTool(t, "enter"), d.root, d.Dir}, command...)
}

// Run runs a command in it and returns what it prints.
func (d Debian) Run(t testing.TB, command ...string) string {
	t.Helper()
	line := d.Command(t, command...)
	out, err := exec.Command(line[0], line[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
	return string(out)
}

func daemonTool(t testing.TB, name string) string {
	return filepath.Join(Root(t), "tools", "daemons", name)
}
