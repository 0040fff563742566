package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

func TestFlagsAreChecked(t *testing.T) {
	for args, want := range map[string]string{
		"":                                          "want --dir",
		"--dir x --address 0.0.0.0":                 "--insecure-listen",
		"--dir x --address ::":                      "--insecure-listen",
		"--dir x --address example.com":             "--insecure-listen",
		"--dir x --blob-store tape":                 "want reapi, s3, upstream or dir",
		"--dir x --blob-store reapi":                "want --reapi-endpoint",
		"--dir x --blob-store s3":                   "want --s3-bucket",
		"--dir x --blob-store upstream":             "want --upstream-url",
		"--dir x --reapi-endpoint grpc://a:1":       "--blob-store reapi",
		"--dir x --s3-bucket b":                     "--blob-store s3",
		"--dir x --upstream-url https://a":          "--blob-store upstream",
		"--dir x --collect-interval 0s":             "--collect-interval",
		"--dir x --blob-store dir --blob-store dir": "is there twice",
		"--dir x --blob-store upstream --upstream-url http://a.example": "want https://HOST",
		"--dir x --blob-store reapi --reapi-endpoint ftp://a":           "grpc://HOST:PORT",
		"--dir x --port 65536":                  "--port=65536",
		"--dir x --max-manifest-size 17MiB":     "--max-manifest-size",
		"--dir x --max-manifest-size 0":         "--max-manifest-size",
		"--dir x --stall-timeout 0s":            "--stall-timeout",
		"--dir x --max-uploads -1":              "--max-uploads",
		"--dir x more":                          "flags only",
		"--dir x --max-blob-size 1TB":           "a number of bytes",
		"--dir x --max-manifest-size -1":        "a number of bytes",
		"--dir x --max-blob-size 9999999GiB999": "a number of bytes",
	} {
		_, err := parseFlags(process{strings.Fields(args), io.Discard, io.Discard, os.Getenv})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error is %v; want %q in it", args, err, want)
		}
	}
}

func TestSizesHaveUnits(t *testing.T) {
	o, err := parseFlags(process{strings.Fields("--dir x --max-blob-size 3GiB --max-manifest-size 5"), io.Discard, io.Discard, os.Getenv})
	if err != nil || o.maxBlob != 3<<30 || o.maxBlob.String() != "3GiB" || o.maxManifest != 5 {
		t.Errorf("sizes are %d and %d, %v", o.maxBlob, o.maxManifest, err)
	}
}

func TestTheFirstLineIsTheAddress(t *testing.T) {
	s := start(t, "--dir", t.TempDir())
	host, port, err := net.SplitHostPort(s.host)
	if err != nil || host != "127.0.0.1" || port == "0" {
		t.Errorf("the address is %q, %v", s.host, err)
	}
	answer, err := http.Get("http://" + s.host + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("/v2/ is answered with %s", answer.Status)
	}
}

func TestADirectoryThatCannotBeUsedIsAnError(t *testing.T) {
	out, err := command("--port", "0", "--dir", os.Args[0]).CombinedOutput()
	if err == nil || !strings.HasPrefix(string(out), "registry: directory ") {
		t.Errorf("%v: %s", err, out)
	}
}

// A request that is being answered when the signal comes is answered to its end.
func TestASignalStopsGracefully(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such signal")
	}
	root := t.TempDir()
	s := start(t, "--dir", root)
	body, more := io.Pipe()
	upload, err := http.NewRequestWithContext(t.Context(), "POST",
		"http://"+s.host+"/v2/a/blobs/uploads/?digest="+string(oci.DigestOf([]byte("before after"))), body)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan string)
	go func() {
		answer, err := http.DefaultClient.Do(upload)
		if err != nil {
			answered <- err.Error()
			return
		}
		answer.Body.Close()
		answered <- answer.Status
	}()
	io.WriteString(more, "before ")
	waitForUpload(t, root)
	s.Process.Signal(syscall.SIGTERM)
	waitUntilRefused(t, s.host)
	io.WriteString(more, "after")
	more.Close()
	if got := <-answered; got != "201 Created" {
		t.Errorf("the upload ends with %q", got)
	}
	if err := s.Wait(); err != nil {
		t.Errorf("the registry ends with %v\n%s", err, s.log)
	}
}

func TestToBeToldToStopAtOnceIsNoError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 {
		args := []string{"--port", "0", "--dir", t.TempDir(), "--enable-blobcache", "--grpc-port", "0"}
		if err := run(ctx, process{args, io.Discard, io.Discard, os.Getenv}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGraceEnds(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such signal")
	}
	root := t.TempDir()
	s := start(t, "--dir", root, "--grace", "100ms")
	body, more := io.Pipe()
	defer more.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	upload, err := http.NewRequestWithContext(ctx, "POST", "http://"+s.host+"/v2/a/blobs/uploads/?digest="+string(oci.DigestOf(nil)), body)
	if err != nil {
		t.Fatal(err)
	}
	go http.DefaultClient.Do(upload)
	io.WriteString(more, "never ends")
	waitForUpload(t, root)
	s.Process.Signal(syscall.SIGTERM)
	if err := s.Wait(); err != nil {
		t.Errorf("the registry ends with %v\n%s", err, s.log)
	}
}

// waitForUpload waits until a request is being answered.
func waitForUpload(t *testing.T, root string) {
	t.Helper()
	for range 1000 {
		if files, _ := os.ReadDir(filepath.Join(root, "uploads")); len(files) > 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("no upload begins")
}

func waitUntilRefused(t *testing.T, host string) {
	t.Helper()
	for range 500 {
		c, err := net.Dial("tcp", host)
		if err != nil {
			return
		}
		c.Close()
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the registry goes on to listen")
}
