package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// lie is what a registry says instead of what is true; it returns false for what it answers truly.
type lie = func(w http.ResponseWriter, r *http.Request) bool

// altered answers a GET or HEAD of a kind with what the registry says, changed.
func altered(behind string, part string, change func(h http.Header, body []byte) (http.Header, []byte)) lie {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet && r.Method != http.MethodHead || !strings.Contains(r.URL.Path, part) {
			return false
		}
		request := r.Clone(context.WithoutCancel(r.Context()))
		request.RequestURI, request.URL.Scheme, request.URL.Host = "", "http", behind
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		h, body := change(answer.Header, body)
		for k, v := range h {
			w.Header()[k] = v
		}
		w.WriteHeader(answer.StatusCode)
		w.Write(body)
		return true
	}
}

func header(name, value string) func(http.Header, []byte) (http.Header, []byte) {
	return func(h http.Header, body []byte) (http.Header, []byte) { h.Set(name, value); return h, body }
}

func body(change func([]byte) []byte) func(http.Header, []byte) (http.Header, []byte) {
	return func(h http.Header, body []byte) (http.Header, []byte) {
		body = change(body)
		h.Set("Content-Length", fmt.Sprint(len(body)))
		return h, body
	}
}

// TestARegistryThatLiesToAPull is found out, or it does not matter; it is never believed.
func TestARegistryThatLiesToAPull(t *testing.T) {
	behind, folder := serve(t, t.TempDir()), t.TempDir()
	push, root := planned(t, folder, behind, 100_000)
	mustRun(t, push())
	flipped := body(func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b })
	other := string(oci.DigestOf([]byte("other")))
	forever := func(w http.ResponseWriter) {
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}
	for name, c := range map[string]struct {
		lie  lie
		want string // in the error; empty when it does not matter
	}{
		"other bytes of a manifest":    {altered(behind, "/manifests/", flipped), "instead of"},
		"other bytes of a blob":        {altered(behind, "/blobs/", flipped), "content is not what its descriptor says: has the digest"},
		"a blob that is too short":     {altered(behind, "/blobs/", body(func(b []byte) []byte { return b[:len(b)-1] })), "bytes, the descriptor"},
		"a blob that is too long":      {altered(behind, "/blobs/", body(func(b []byte) []byte { return append(b, 0) })), "bytes, the descriptor"},
		"no bytes":                     {altered(behind, "/manifests/", body(func([]byte) []byte { return nil })), "instead of"},
		"another digest of a manifest": {altered(behind, "/manifests/", header("Docker-Content-Digest", other)), "instead of " + other},
		"a digest that is none":        {altered(behind, "/manifests/", header("Docker-Content-Digest", "nonsense")), ""},
		"another digest of a blob":     {altered(behind, "/blobs/", header("Docker-Content-Digest", other)), ""},
		"another type of a manifest":   {altered(behind, "/manifests/", header("Content-Type", oci.MediaTypeIndex)), "is described as " + oci.MediaTypeIndex},
		"a type that no manifest has":  {altered(behind, "/manifests/", header("Content-Type", "text/html")), `"text/html", which is no manifest`},
		"another type of a blob":       {altered(behind, "/blobs/", header("Content-Type", "text/html")), ""},
		"a range that nobody asked for": {func(w http.ResponseWriter, r *http.Request) bool {
			return strings.Contains(r.URL.Path, "/blobs/") && partial(w, "bytes 5-9/100000", "12345")
		}, "asked for bytes from 0"},
		"a part of a range": {func(w http.ResponseWriter, r *http.Request) bool {
			return strings.Contains(r.URL.Path, "/blobs/") && r.Method == http.MethodGet && partial(w, "bytes 0-4/100000", "12345")
		}, "the answer has 5 bytes"},
		"a blob that never ends": {func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
				return false
			}
			forever(w)
			return true
		}, "has more than the"},
		"an error that never ends": {func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(http.StatusForbidden)
			forever(w)
			return true
		}, "403 forbidden"},
		"a way in a circle": {func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
			return true
		}, "redirects"},
		"a way to elsewhere that is none": {func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Location", "gopher://[::1")
			w.WriteHeader(http.StatusTemporaryRedirect)
			return true
		}, "Location"},
	} {
		t.Run(name, func(t *testing.T) {
			_, address := remotetest.NewProxy(t, behind, c.lie)
			out := t.TempDir()
			args := []string{"pull", "--registry", address, "--repository", "app", "--digest", string(root.Digest), "--out", out}
			for _, path := range blobs(t, folder) {
				if info, err := os.Stat(path); err == nil && info.Size() == 100_000 {
					args = append(args, "--blob", fmt.Sprint(digestOf(path), ",", info.Size()))
				}
			}
			command := img(args...)
			err := command.Run()
			if text := said(command); (err != nil) != (c.want != "") || !strings.Contains(text, c.want) || err != nil && !strings.Contains(text, address) || len(text) > 2000 {
				t.Errorf("it says (%v): %.2000s\nwant: %s", err, text, c.want)
			}
			wantWholeBlobs(t, out)
		})
	}
}

func partial(w http.ResponseWriter, contentRange, body string) bool {
	w.Header().Set("Content-Range", contentRange)
	w.WriteHeader(http.StatusPartialContent)
	io.WriteString(w, body)
	return true
}

// TestARegistryThatLiesToAPush is given up, and named.
func TestARegistryThatLiesToAPush(t *testing.T) {
	behind, folder := serve(t, t.TempDir()), t.TempDir()
	root := blobtest.Image(t, dir.Store{Root: folder, Volatile: true}, linux, blobtest.Bytes("lie", 2<<20))
	location := func(to func(r *http.Request) string) lie {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			w.Header().Set("Location", to(r))
			w.WriteHeader(http.StatusAccepted)
			return true
		}
	}
	redirected := func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			io.Copy(io.Discard, r.Body)
			http.Redirect(w, r, r.URL.RequestURI(), http.StatusTemporaryRedirect)
		}
		return r.Method == http.MethodPut
	}
	for name, c := range map[string]struct {
		lie  lie
		want string
	}{
		"no place for an upload":    {location(func(*http.Request) string { return "" }), "does not say where the upload goes"},
		"a place that is none":      {location(func(*http.Request) string { return "http://[::1" }), "does not say where the upload goes"},
		"a place of another scheme": {location(func(*http.Request) string { return "gopher://example.com/x" }), "unsupported protocol scheme"},
		"a place that is not there": {location(func(*http.Request) string { return "/v2/app/blobs/uploads/none" }), "tried 3 times"},
		"an upload in a circle":     {redirected, "redirects"},
		"an upload that it calls refused": {func(w http.ResponseWriter, r *http.Request) bool {
			return r.Method == http.MethodPut && answered(w, http.StatusTeapot)
		}, "418"},
	} {
		t.Run(name, func(t *testing.T) {
			_, address := remotetest.NewProxy(t, behind, c.lie)
			to := blob.Retry{Wait: time.Millisecond, Attempts: 3}.Sink(repository(t, address, "app"))
			_, err := blob.Copy(t.Context(), to, dir.Store{Root: folder}, blob.CopyOptions{}, root)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), address) {
				t.Errorf("error is %v\nwant: %s", err, c.want)
			}
		})
	}
}

func answered(w http.ResponseWriter, status int) bool {
	w.WriteHeader(status)
	return true
}

// TestABaseThatLies is an index whose manifests are other things than it says.
func TestABaseThatLies(t *testing.T) {
	host := serve(t, t.TempDir())
	folder := t.TempDir()
	push, root := planned(t, folder, host, 1000)
	mustRun(t, push())
	for name, d := range map[string]oci.Descriptor{
		"another type":             {MediaType: oci.MediaTypeIndex, Digest: root.Digest, Size: root.Size},
		"a size that is too small": {MediaType: root.MediaType, Digest: root.Digest, Size: root.Size - 1},
		"a size that is too large": {MediaType: root.MediaType, Digest: root.Digest, Size: root.Size + 1},
		"a size below nothing":     {MediaType: root.MediaType, Digest: root.Digest, Size: -1},
		"a digest that is a path":  {MediaType: root.MediaType, Digest: "sha256:../../../etc/passwd", Size: root.Size},
	} {
		t.Run(name, func(t *testing.T) {
			index, err := json.Marshal(oci.Index{Versioned: oci.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{d}})
			bazeltest.Must(t, err)
			_, address := remotetest.NewProxy(t, host, func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/manifests/base") {
					return false
				}
				w.Header().Set("Content-Type", oci.MediaTypeIndex)
				w.Write(index)
				return true
			})
			out := t.TempDir()
			c := img("pull", "--registry", address, "--repository", "app", "--tag", "base", "--out", out)
			if c.Run() == nil || !strings.Contains(said(c), address) {
				t.Errorf("it says: %s", said(c))
			}
			if n := len(blobs(t, out)); n > 0 {
				t.Errorf("%d blobs were pulled", n)
			}
		})
	}
}
