package metrics

import (
	"fmt"
	"io"
	"runtime/metrics"
)

// ofRuntime are what tells a leak, by the names that Prometheus's own library gives them.
var ofRuntime = []struct{ name, from, help string }{
	{"go_goroutines", "/sched/goroutines:goroutines", "Goroutines that there are."},
	{"go_gc_heap_live_bytes", "/gc/heap/live:bytes", "Memory that was in use at the last collection of garbage."},
}

// writeRuntime tells what this process is made of at the moment.
func writeRuntime(w io.Writer) {
	for _, m := range ofRuntime {
		sample := []metrics.Sample{{Name: m.from}}
		metrics.Read(sample)
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %[1]s gauge\n%[1]s %[3]d\n", m.name, m.help, sample[0].Value.Uint64())
	}
}
