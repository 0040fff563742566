package metrics_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bazel-contrib/rules_img/internal/registry/metrics"
)

// slow is a client that takes nothing until something was counted.
type slow struct {
	*httptest.ResponseRecorder
	testing.TB
	*metrics.Counters
}

func (w slow) Write(p []byte) (int, error) {
	counted := make(chan struct{})
	go func() { w.Add("registry_requests_total", 1, "method", "GET"); close(counted) }()
	select {
	case <-counted:
	case <-time.After(10 * time.Second):
		w.Error("who counts waits for a client")
	}
	return w.ResponseRecorder.Write(p)
}

// Or one who does not take the metrics would stop the server.
func TestWhoCountsDoesNotWaitForWhoReads(t *testing.T) {
	c := new(metrics.Counters)
	c.Add("registry_requests_total", 1, "method", "GET")
	w := slow{httptest.NewRecorder(), t, c}
	c.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{"\nregistry_requests_total{method=\"GET\"} 1\n", "\ngo_goroutines "} {
		if got := w.Body.String(); !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}
