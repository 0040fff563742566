//go:build unix

package main

import (
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// TestTheExitStatusNamesTheSignal waits for a registry that never answers, until a signal comes. Shells and CI know what was meant.
func TestTheExitStatusNamesTheSignal(t *testing.T) {
	registry, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	for signal, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		cmd := exec.Command(os.Args[0])
		cmd.Args = []string{"img", "authorize", "--registry", registry.Addr().String(), "--repository", "a/b"}
		cmd.Stderr = t.Output()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waiting, err := registry.Accept()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Process.Signal(signal)
		cmd.Wait()
		waiting.Close()
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("after %v, the exit status is %d: want %d", signal, got, want)
		}
	}
}
