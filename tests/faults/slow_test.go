package faults_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// TestClientsThatSendTheirHeadersSlowly are cut, however often they send a byte. Bodies are in internal/registry.
func TestClientsThatSendTheirHeadersSlowly(t *testing.T) {
	host, log, stop := startServer(t, registryOn(t.TempDir(), "--stall-timeout", "300ms"))
	for _, beginning := range []string{"", "GET /v2/ HTTP/1.1\r\nHost: x\r\nX: "} {
		c, err := net.Dial("tcp", host)
		bazeltest.Must(t, err)
		defer c.Close()
		go func() {
			for _, err := io.WriteString(c, beginning); err == nil; _, err = io.WriteString(c, "x") {
				time.Sleep(20 * time.Millisecond)
			}
		}()
		c.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.Copy(io.Discard, c); err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				t.Errorf("%q and then byte after byte: it is not cut", beginning)
			}
		}
	}
	stop()
	if log.Len() > 2000 {
		t.Errorf("the log says: %s", log)
	}
}

// TestManyClientsThatDoNothing leave a registry to those who do.
func TestManyClientsThatDoNothing(t *testing.T) {
	host, _, _ := startServer(t, registryOn(t.TempDir()))
	for range 500 {
		c, err := net.Dial("tcp", host)
		bazeltest.Must(t, err)
		defer c.Close()
		_, err = io.WriteString(c, "POST /v2/app/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\nx")
		bazeltest.Must(t, err)
	}
	push, root := planned(t, t.TempDir(), host, 1000)
	mustRun(t, push())
	if got, err := pullWhole(t.Context(), host, "app", "latest"); err != nil || got.Digest != root.Digest {
		t.Errorf("latest is %s, %v", got.Digest, err)
	}
}
