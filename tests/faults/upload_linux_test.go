package faults_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
	"github.com/bazel-contrib/rules_img/tests/memory"
)

// TestUploadsThatAreTooLarge are larger than the registry takes, or than its disk: they are refused, leave nothing, and others are served.
func TestUploadsThatAreTooLarge(t *testing.T) {
	whole := "?digest=" + string(oci.DigestOf([]byte("never")))
	const declared, chunked = "Content-Length: 1000000000000", "Transfer-Encoding: chunked"
	for name, c := range map[string]struct {
		flag string
		want int
	}{
		"than the limit": {"--max-blob-size=1MiB", http.StatusRequestEntityTooLarge},
		"than the disk":  {"--max-blob-size=0", http.StatusInsufficientStorage},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk(t)
			folder := filepath.Join(d.path(), "registry")
			server := d.run(t, registryOn(folder, c.flag), 4<<20)
			host, _, _ := startServer(t, server)
			for _, length := range []string{declared, chunked} {
				for _, method := range []string{"POST", "PATCH", "PUT"} {
					path := "/v2/app/blobs/uploads/" + whole
					if method != "POST" {
						path = begun(t, host) + whole
					}
					if status, err := sendForever(host, method+" "+path, length); status != c.want {
						t.Errorf("%s, %s: it is answered with %d, %v", method, length, status, err)
					}
				}
			}
			if left, _ := filepath.Glob(filepath.Join(folder, "uploads", "*")); len(left) > 0 {
				t.Errorf("%s are left", left)
			}
			if peak := memory.PeakOf(server.Process.Pid); peak>>20 > 100 {
				t.Errorf("it takes %d MiB", peak>>20)
			}
			push, root := planned(t, t.TempDir(), host, 500_000)
			mustRun(t, push())
			if got, err := pullWhole(t.Context(), host, "app", "latest"); err != nil || got.Digest != root.Digest {
				t.Errorf("latest is %s, %v", got.Digest, err)
			}
		})
	}
}

// begun is the path of an upload that has begun.
func begun(t *testing.T, host string) string {
	t.Helper()
	answer, err := http.Post("http://"+host+"/v2/app/blobs/uploads/", "", nil)
	bazeltest.Must(t, err)
	answer.Body.Close()
	return answer.Header.Get("Location")
}

// sendForever sends a body that does not end, and returns the status of the answer.
func sendForever(host, request, length string) (status int, err error) {
	c, err := net.Dial("tcp", host)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", request, length)
	go func() {
		piece := "10000\r\n" + strings.Repeat("x", 1<<16) + "\r\n"
		for err := error(nil); err == nil; _, err = io.WriteString(c, piece) {
		}
	}()
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, nil
}

// TestAnUploadThatSaysThatItIsTooLarge is refused before it is sent.
func TestAnUploadThatSaysThatItIsTooLarge(t *testing.T) {
	host, _, _ := startServer(t, registryOn(t.TempDir(), "--max-blob-size", "1MiB"))
	for _, request := range []string{"POST /v2/app/blobs/uploads/?digest=" + string(oci.DigestOf(nil)), "PATCH " + begun(t, host), "PUT " + begun(t, host) + "?digest=" + string(oci.DigestOf(nil))} {
		c, err := net.Dial("tcp", host)
		bazeltest.Must(t, err)
		defer c.Close()
		c.SetDeadline(time.Now().Add(30 * time.Second))
		fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", request, 1<<20+1)
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || answer.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: it is answered with %v, %v", request, answer, err)
		}
	}
	push, _ := planned(t, t.TempDir(), host, 2<<20)
	c := push()
	if c.Run() == nil || !strings.Contains(said(c), "blob is too large: the limit is 1048576 bytes (413 ") {
		t.Errorf("a push says: %s", said(c))
	}
}
