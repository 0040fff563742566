// Package memory measures how much memory a program takes. The entry points are [Peak] and, for one that goes on, [PeakOf].
package memory

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Peak runs a command, and says how much memory it had at most, by Linux's /proc.
func Peak(c *exec.Cmd) (peak int64, err error) {
	if err := c.Start(); err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	for tick := time.Tick(5 * time.Millisecond); ; {
		select {
		case err := <-done:
			return peak, err
		case <-tick:
			peak = max(peak, PeakOf(c.Process.Pid))
		}
	}
}

// PeakOf is the most memory that a running process had.
func PeakOf(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(b), "VmHWM:")
	var kilobytes int64
	fmt.Sscan(after, &kilobytes)
	return kilobytes << 10
}
