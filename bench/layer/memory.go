package main

import (
	"os/exec"
	"time"

	"github.com/bazel-contrib/rules_img/tests/memory"
)

// watch looks every few milliseconds how much memory programs have had at most. What it returns ends that, and is the sum. It is 0 where
// there is no /proc: the system's own figure for a program that has ended counts what its parent had before.
func watch(programs []*exec.Cmd) func() int64 {
	peaks := make([]int64, len(programs))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for tick := time.Tick(5 * time.Millisecond); ; {
			for i, p := range programs {
				if p.Process != nil {
					peaks[i] = max(peaks[i], memory.PeakOf(p.Process.Pid))
				}
			}
			select {
			case <-tick:
			case <-stop:
				return
			}
		}
	}()
	return func() int64 {
		close(stop)
		<-stopped
		sum := int64(0)
		for _, p := range peaks {
			sum += p
		}
		return sum
	}
}
