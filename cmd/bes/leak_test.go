package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
	"github.com/bazel-contrib/rules_img/internal/deploy"
)

// Each would stay open for a minute and a half after its build.
func TestBuildsShareConnections(t *testing.T) {
	c := startCache(t, repb.DigestFunction_SHA256)
	proxy := &remotetest.Proxy{Registry: remotetest.InMemory(t)}
	server := httptest.NewUnstartedServer(proxy.Handler())
	var open atomic.Int64
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	p, before := c.pusher(options{}), int64(0)
	for i := range 10 {
		blobs, bodies, root := c.built(tarball(t, 100+i))
		for _, b := range bodies {
			c.put(b)
		}
		j := c.job(deploy.Plan{Blobs: blobs, Operations: []deploy.Operation{pushTo(server.Listener.Addr().String(), "app", "bes", root)}})
		j.Invocation = fmt.Sprint("build ", i)
		_, err := p.Push(t.Context(), j)
		must(t, err)
		if i == 0 {
			before = open.Load()
		}
	}
	if after := open.Load(); after > before+4 {
		t.Errorf("%d connections after one build, and %d after ten", before, after)
	}
}

func TestMetrics(t *testing.T) {
	state := t.TempDir()
	addresses := strings.Fields(start(t, "--state", state, "--allow-files", state, "--metrics-port", "0"))
	if len(addresses) != 3 || addresses[1] != "metrics" {
		t.Fatalf("addresses are %q", addresses)
	}
	answer, err := http.Get("http://" + addresses[2] + "/metrics")
	must(t, err)
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	must(t, err)
	if !strings.Contains(string(got), "\ngo_goroutines ") {
		t.Errorf("metrics are %s", got)
	}
}
