package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
	"github.com/bazel-contrib/rules_img/internal/deploy"
)

// TestATerminalShowsWhatIsWaitedFor pushes to a registry that wants to be asked later.
func TestATerminalShowsWhatIsWaitedFor(t *testing.T) {
	var asked atomic.Bool
	_, address := remotetest.NewProxy(t, remotetest.Olareg(t), func(w http.ResponseWriter, r *http.Request) bool {
		if asked.Swap(true) {
			return false
		}
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	work := t.TempDir()
	writePlan(t, work, deploy.Operation{Name: "//:app", Registry: address, Repository: "waits/app"})
	terminal, screen := openTerminal(t)
	cmd := exec.Command(os.Args[0])
	cmd.Args = []string{"img", "deploy", filepath.Join(work, "plan.json")}
	cmd.Env = append(os.Environ(), "TERM=xterm", "RUNFILES_DIR="+work)
	cmd.Stderr = terminal
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	shown, _ := io.ReadAll(screen) // ends with an error, as the last program leaves the terminal
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, shown)
	}
	if want := "retrying in 1 s: registry " + address; !strings.Contains(string(shown), want) {
		t.Errorf("the terminal does not show %q:\n%q", want, shown)
	}
}

// openTerminal opens a pseudo-terminal of 24 lines, and what a person sees of it.
func openTerminal(t *testing.T) (terminal, screen *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 200}); err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return terminal, screen
}
