package faults_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
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

// TestNobodyHoldsOnToWhatIsBeside has small services that the servers have beside what they are for. They are not held by a body that does not
// come, nor by answers that are not taken.
func TestNobodyHoldsOnToWhatIsBeside(t *testing.T) {
	tokens := filepath.Join(t.TempDir(), "tokens")
	bazeltest.Must(t, os.WriteFile(tokens, []byte("fedcba98765432100123456789abcdef\n"), 0o600))
	beside := []string{"--stall-timeout", "1s", "--metrics-port", "0"}
	registry, _, _ := startServers(t, registryOn(t.TempDir(), append(beside, "--token-file", tokens, "--issue-tokens")...), 2)
	service, _, _ := startServers(t, besOn(t.TempDir(), t.TempDir(), beside...), 2)
	for name, url := range map[string][2]string{
		"tokens": {registry[0], "/token"}, "metrics of the registry": {registry[1], "/metrics"}, "metrics of build events": {service[1], "/metrics"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := "GET " + url[1] + " HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
			if !isCut(url[0], fmt.Sprintf(request, 100), false) {
				t.Error("a request without its body is not cut")
			}
			c, err := net.Dial("tcp", url[0])
			bazeltest.Must(t, err)
			defer c.Close()
			c.SetWriteDeadline(time.Now().Add(30 * time.Second))
			for many := strings.Repeat(fmt.Sprintf(request, 0), 1000); err == nil; { // until the server is gone, or takes no more
				_, err = io.WriteString(c, many)
			}
			if os.IsTimeout(err) {
				t.Error("a client that takes no answers is not cut")
			}
		})
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

// isCut says what begins, and then nothing or, slowly, byte after byte. It reports whether the server ends the connection.
func isCut(host, beginning string, slowly bool) bool {
	c, err := net.Dial("tcp", host)
	if err != nil {
		return false
	}
	defer c.Close()
	_, err = io.WriteString(c, beginning)
	go func() {
		for ; slowly && err == nil; _, err = io.WriteString(c, "x") {
			time.Sleep(20 * time.Millisecond)
		}
	}()
	c.SetReadDeadline(time.Now().Add(time.Minute))
	_, err = io.Copy(io.Discard, c)
	return !os.IsTimeout(err)
}
