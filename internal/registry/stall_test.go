package registry_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry"
)

// raw sends text to a registry and returns the connection.
func raw(t *testing.T, host, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestABodyThatStallsIsCut(t *testing.T) {
	host := serve(t, registry.Options{Store: open(t, t.TempDir(), noLimits), Stall: 200 * time.Millisecond})
	digest := oci.DigestOf([]byte("never"))
	for name, path := range map[string]string{
		"that is read":       "/v2/a/blobs/uploads/?digest=" + string(digest),
		"that nobody reads":  "/v2/a/blobs/uploads/",
		"of a wrong request": "/elsewhere",
	} {
		t.Run(name, func(t *testing.T) {
			c := raw(t, host, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nbegin", path))
			if _, err := io.Copy(io.Discard, c); err != nil {
				t.Errorf("the connection stays open: %v", err)
			}
		})
	}
}

func TestABodyMayTakeItsTimeWhenItKeepsComing(t *testing.T) {
	stall := 300 * time.Millisecond
	host := serve(t, registry.Options{Store: open(t, t.TempDir(), noLimits), Stall: stall})
	piece := strings.Repeat("x", 16<<10)
	body := strings.Repeat(piece, 8)
	c := raw(t, host, fmt.Sprintf("POST /v2/a/blobs/uploads/?digest=%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", oci.DigestOf([]byte(body)), len(body)))
	for range 8 {
		time.Sleep(stall / 3)
		if _, err := io.WriteString(c, piece); err != nil {
			t.Fatal(err)
		}
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusCreated {
		t.Errorf("it is answered with %s", answer.Status)
	}
}

// A client that reads nothing is cut when the kernel's buffers are full and it has had the time that the slowest may take.
func TestAClientThatTakesNothingIsCut(t *testing.T) {
	host := serve(t, registry.Options{Store: open(t, t.TempDir(), noLimits), Stall: 200 * time.Millisecond})
	const requests, size = 4000, 8 << 10
	d := client{t, host}.blob("a", strings.Repeat("x", size))
	c := raw(t, host, strings.Repeat(fmt.Sprintf("GET /v2/a/blobs/%s HTTP/1.1\r\nHost: x\r\n\r\n", d.Digest), requests))
	time.Sleep(2 * time.Second)
	if n, err := io.Copy(io.Discard, c); n >= requests*size {
		t.Errorf("%d bytes came, %v; want the connection to be cut before", n, err)
	}
}

// A request must not suffer from the deadlines of the one before it on the same connection, and also not when leave to send the body
// is asked for.
func TestAConnectionOutlivesItsDeadlines(t *testing.T) {
	c := newClient(t, registry.Options{Stall: 100 * time.Millisecond})
	for range 3 {
		digest := string(oci.DigestOf([]byte("body")))
		c.want(http.StatusCreated, "POST", "/v2/a/blobs/uploads/?digest="+digest, "body", "Expect: 100-continue")
		time.Sleep(150 * time.Millisecond)
	}
}
