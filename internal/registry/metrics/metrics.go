// Package metrics counts what a server does, and tells it in the text format of Prometheus. The entry point is [Counters].
//
// Prometheus's own library would be larger than all else that the servers are built of, for a list of sums.
package metrics

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// help says what each counter counts. There are no others.
var help = map[string]string{
	"registry_requests_total":        "HTTP requests that were answered, by method and status.",
	"registry_request_seconds_total": "Time that answering HTTP requests took, by method.",
	"registry_response_bytes_total":  "Bytes of answers.",
	"registry_store_asked_total":     "Blobs that a store was asked for to be read, by whether it had them.",
	"registry_commit_blobs_total":    "Blobs that pushes said are in the cache, by whether a store had them.",
	"registry_collected_blobs_total": "Blobs that were removed because nothing referred to them.",
	"registry_collected_bytes_total": "Bytes of these.",
	"bes_plans_total":                "Plans of builds, by what became of them: done, failed, or lost with the file that they were written to.",
}

// Counters are sums that only grow. The zero value is ready.
type Counters struct {
	mu   sync.Mutex
	sums map[string]map[string]float64 // by name, then labels
}

// Add adds n to a counter. Labels are pairs of a name and a value.
func (c *Counters) Add(name string, n float64, labels ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sums == nil {
		c.sums = map[string]map[string]float64{}
	}
	if c.sums[name] == nil {
		c.sums[name] = map[string]float64{}
	}
	c.sums[name][labelled(labels)] += n
}

func labelled(labels []string) string {
	var parts []string
	for i := 0; i+1 < len(labels); i += 2 {
		parts = append(parts, fmt.Sprintf("%s=%q", labels[i], labels[i+1]))
	}
	if len(parts) == 0 {
		return ""
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// ServeHTTP implements [http.Handler] for the path /metrics.
func (c *Counters) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/metrics" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Write(c.text()) // without the lock, or one who does not take it would stop all that count
}

func (c *Counters) text() []byte {
	var w bytes.Buffer
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(c.sums)) {
		fmt.Fprintf(&w, "# HELP %s %s\n# TYPE %s counter\n", name, help[name], name)
		for _, labels := range slices.Sorted(maps.Keys(c.sums[name])) {
			fmt.Fprintf(&w, "%s%s %v\n", name, labels, c.sums[name][labels])
		}
	}
	writeRuntime(&w)
	return w.Bytes()
}
