package s3_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/s3"
)

func TestABucketThatStandsStillIsGivenUp(t *testing.T) {
	body := blobtest.Bytes("large", 8<<20) // more than what is between here and there holds
	d, release := blobtest.Describe(body), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodHead: // the bucket is there, and the blob is not
			if len(r.URL.Path) > len("/images/") {
				w.WriteHeader(http.StatusNotFound)
			}
			return
		case http.MethodGet:
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.Header().Set("Last-Modified", "Wed, 25 Nov 2026 00:00:00 GMT")
			w.Write(body[:1000])
			w.(http.Flusher).Flush()
		}
		<-release
	}))
	defer server.Close()
	defer close(release)
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	b, err := s3.Open(t.Context(), s3.Options{Bucket: "images", Endpoint: server.URL, Region: "us-east-1", Stall: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	for name, do := range map[string]func() error{
		"reading": func() error {
			r, err := b.Open(ctx, d)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.Copy(io.Discard, r)
			return err
		},
		"writing": func() error { return b.Put(ctx, d, blobtest.Content(body)) },
	} {
		if err := do(); !blob.IsTransient(err) || ctx.Err() != nil {
			t.Errorf("%s ends with %v", name, err)
		}
	}
}
