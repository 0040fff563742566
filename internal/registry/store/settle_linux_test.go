package store_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

// unsettled is how many pages of a file are not on the disk.
func unsettled(t *testing.T, path string) uint64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all [2]uint64 // from the first byte to the last
	var pages struct{ cached, dirty, writeback, evicted, recentlyEvicted uint64 }
	if _, _, errno := unix.Syscall6(unix.SYS_CACHESTAT, f.Fd(), uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&pages)), 0, 0, 0); errno != 0 {
		t.Skipf("the kernel does not tell what is on the disk: %v", errno)
	}
	return pages.dirty + pages.writeback
}

// An upload may be large, and the disk slow: others must not have to wait for it.
func TestTheDiskIsWaitedForWithoutTheLock(t *testing.T) {
	root := t.TempDir()
	r := repository(t, open(t, root, store.Limits{}), "a")
	u, body := start(t, r), blobtest.Bytes("upload", 1<<20)
	add(t, u, string(body))
	path := uploadFiles(t, root)[0]
	if unsettled(t, path) == 0 {
		t.Skip("here writing is to be on the disk")
	}
	lock, err := os.OpenFile(filepath.Join(root, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	finished := make(chan error)
	go func() { finished <- u.Finish(t.Context(), oci.DigestOf(body)) }()
	for until := time.Now().Add(25 * time.Second); unsettled(t, path) > 0 && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	if n := unsettled(t, path); n > 0 {
		t.Errorf("%d pages wait for the lock", n)
	}
	lock.Close()
	if err := <-finished; err != nil {
		t.Error(err)
	}
	u.Close()
}
