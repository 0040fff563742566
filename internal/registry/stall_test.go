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
	const stall, pause = 2 * time.Second, 300 * time.Millisecond // a busy machine may add to a pause
	host := serve(t, registry.Options{Store: open(t, t.TempDir(), noLimits), Stall: stall})
	piece := strings.Repeat("x", 16<<10)
	body := strings.Repeat(piece, 8)
	c := raw(t, host, fmt.Sprintf("POST /v2/a/blobs/uploads/?digest=%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", oci.DigestOf([]byte(body)), len(body)))
	for range 8 { // longer than the stall altogether
		time.Sleep(pause)
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

// However fast it was before.
func TestAFastBodyThatStallsIsCut(t *testing.T) {
	host := serve(t, registry.Options{Store: open(t, t.TempDir(), noLimits), Stall: 200 * time.Millisecond})
	c := raw(t, host, "POST /v2/a/blobs/uploads/?digest="+string(oci.DigestOf(nil))+" HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n"+
		strings.Repeat("x", 4<<20))
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("there is no answer: %v", err)
	}
	if answer.StatusCode != http.StatusRequestTimeout {
		t.Errorf("it is answered with %s", answer.Status)
	}
}

func TestAClientThatStopsTakingIsCut(t *testing.T) {
	host := serve(t, registry.Options{Store: open(t, t.TempDir(), noLimits), Stall: 200 * time.Millisecond})
	const size = 32 << 20 // more than the kernel's buffers hold
	d := client{t, host}.blob("a", strings.Repeat("x", size))
	c := raw(t, host, fmt.Sprintf("GET /v2/a/blobs/%s HTTP/1.1\r\nHost: x\r\n\r\n", d.Digest))
	if _, err := io.CopyN(io.Discard, c, 1<<20); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	if n, err := io.Copy(io.Discard, c); n >= size-1<<20 {
		t.Errorf("%d more bytes came, %v; want the connection to be cut before", n, err)
	}
}

func TestAClientMayTakeItsTimeWhenItKeepsTaking(t *testing.T) {
	const stall, pause, size = 2 * time.Second, 200 * time.Millisecond, 24 << 20
	host := serve(t, registry.Options{Store: open(t, t.TempDir(), noLimits), Stall: stall})
	d := client{t, host}.blob("a", strings.Repeat("x", size))
	c := raw(t, host, fmt.Sprintf("GET /v2/a/blobs/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", d.Digest))
	got, r := int64(0), bufio.NewReaderSize(c, 64<<10)
	for range 12 { // longer than the stall altogether
		n, err := io.CopyN(io.Discard, r, size/12)
		if got += n; err != nil {
			t.Fatalf("after %d bytes: %v", got, err)
		}
		time.Sleep(pause)
	}
}

// A request must not suffer from the deadlines of the one before it on the same connection, and also not when leave to send the body
// is asked for.
func TestAConnectionOutlivesItsDeadlines(t *testing.T) {
	const stall = time.Second
	c := newClient(t, registry.Options{Stall: stall})
	for range 2 {
		digest := string(oci.DigestOf([]byte("body")))
		c.want(http.StatusCreated, "POST", "/v2/a/blobs/uploads/?digest="+digest, "body", "Expect: 100-continue")
		time.Sleep(stall + stall/10)
	}
}
