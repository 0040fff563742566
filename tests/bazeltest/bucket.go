package bazeltest

import (
	"os/exec"
	"strings"
	"testing"
)

// StartBucket runs a server of S3's protocol with one empty bucket for the length of a test, and returns its URL. It takes any credentials.
func StartBucket(t testing.TB, name string) string {
	t.Helper()
	address := freePort(t)
	server := exec.Command(Tool(t, "gofakes3"), "-host", address, "-backend", "memory", "-initialbucket", name, "-quiet")
	var log strings.Builder
	server.Stdout, server.Stderr = &log, &log
	Must(t, server.Start())
	t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	waitFor(t, address, &log)
	return "http://" + address
}
