package main

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMain makes the test's program the registry when it is called as such, so that tests can kill a real process.
func TestMain(m *testing.M) {
	if os.Getenv("REGISTRY_TEST_PROCESS") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// server is a registry in a process of its own.
type server struct {
	*exec.Cmd
	host  string
	lines *bufio.Reader    // of stdout, after the first
	log   *strings.Builder // complete once the process has ended
}

// address is that of a further service, in their order.
func (s server) address(t *testing.T, name string) string {
	t.Helper()
	line, err := s.lines.ReadString('\n')
	address, ok := strings.CutPrefix(line, name+" ")
	if err != nil || !ok {
		t.Fatalf("the next line is %q, %v; want the address of %s", line, err, name)
	}
	return strings.TrimSpace(address)
}

func command(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), "REGISTRY_TEST_PROCESS=1")
	return c
}

func start(t *testing.T, args ...string) server {
	t.Helper()
	s := server{command(append([]string{"--port", "0"}, args...)...), "", nil, new(strings.Builder)}
	s.Stderr = s.log
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Process.Kill(); s.Wait() })
	s.lines = bufio.NewReader(out)
	line, err := s.lines.ReadString('\n')
	if err != nil {
		s.Wait()
		t.Fatalf("the registry printed no address: %v\n%s", err, s.log)
	}
	s.host = strings.TrimSpace(line)
	return s
}
