package store_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

func TestProcessesShareASecret(t *testing.T) {
	root := t.TempDir()
	var all errgroup.Group
	var secrets [8][32]byte
	for i := range secrets {
		s := open(t, root, store.Limits{})
		all.Go(func() (err error) { secrets[i], err = s.Secret(); return err })
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, s := range secrets {
		if s != secrets[0] || s == [32]byte{} {
			t.Errorf("there are %x and %x", s, secrets[0])
		}
	}
	path := filepath.Join(root, "secret")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("its mode is %v", mode)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if got, err := open(t, root, store.Limits{}).Secret(); err == nil {
		t.Errorf("of an empty file the secret is %x", got)
	}
}
