package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// say sends bytes to a server as they are, and returns what it answers before it ends the connection.
func say(t *testing.T, host, text string) (answer string) {
	t.Helper()
	c, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, text)
	b, err := io.ReadAll(c)
	if os.IsTimeout(err) {
		t.Error("the connection is not ended")
	}
	return string(b)
}

// Nobody holds on to a server, or to its memory, by a header.
func TestHeadersHaveAnEnd(t *testing.T) {
	s := start(t, "--dir", t.TempDir(), "--stall-timeout", "500ms", "--htpasswd", makeSecrets(t).htpasswd)
	if answer := say(t, s.host, "GET /v2/ HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 100<<10)+"\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 431 ") {
		t.Errorf("a header of 100 KiB is answered with %.100q", answer)
	}
	if answer := say(t, s.host, "GET /v2/ HTTP/1.1\r\nHost: x\r\nX: and so"); strings.HasPrefix(answer, "HTTP/1.1 200") {
		t.Errorf("a header that does not end is answered with %.100q", answer)
	}
}

// What a client sends writes no lines of its own into the log, and no headers into the answer.
func TestAClientWritesNoLogAndNoHeaders(t *testing.T) {
	s := start(t, "--dir", t.TempDir())
	const bad = "x%0Alevel=ERROR%20msg=forged%1B%5B2J%0D%0ASet-Cookie:%20a=b"
	for _, path := range []string{"/v2/" + bad + "/tags/list", "/v2/a/manifests/" + bad, "/v2/a/blobs/" + bad, "/v2/a/tags/list?n=1&last=" + bad, "/v2/a/referrers/" + bad} {
		answer := say(t, s.host, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
		if err != nil || resp.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s is answered with %q, %v", path, answer, err)
		}
	}
	s.Process.Kill()
	s.Wait()
	lines := fmt.Sprint(s.log)
	if !strings.Contains(lines, "forged") {
		t.Errorf("the log does not tell of it:\n%s", lines)
	}
	if strings.Contains(lines, "\nlevel=ERROR") || strings.Contains(lines, "\x1b") {
		t.Errorf("a client wrote into the log:\n%q", lines)
	}
}
