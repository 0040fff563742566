package main

import (
	"context"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// asked is a daemon that remembers what it was asked to load.
type asked struct{ daemon.Image }

func (a *asked) Load(_ context.Context, im daemon.Image) (daemon.Loaded, error) {
	a.Image = im
	return daemon.Loaded{Root: im.Root}, nil
}

// loadsWith are those of a run with some flags.
func loadsWith(t *testing.T, flags ...string) *loads {
	t.Helper()
	f, err := parseDeployFlags(process{Stderr: t.Output()}, flags)
	if err != nil {
		t.Fatal(err)
	}
	return &loads{deployment: &deployment{process: process{Getenv: func(string) string { return "" }}, deployFlags: f}, named: map[string]oci.Digest{}}
}

// TestALoadThatCannotBeginSaysWhich it is, and where it was to go.
func TestALoadThatCannotBeginSaysWhich(t *testing.T) {
	var source mem.Store
	root := blobtest.Image(t, &source, oci.Platform{OS: "linux", Architecture: "amd64"})
	for name, want := range map[string]string{
		"generic": "load of //:load: generic: LOADER_BINARY is not set",
		"dock":    `load of //:load: "dock" is not a daemon`,
	} {
		l := loadsWith(t, "--daemon", name)
		r := l.load(&source)(t.Context(), []deploy.Operation{{Name: "//:load", Root: root}})[0]
		if r.Err == nil || !strings.HasPrefix(r.Err.Error(), want) || r.Place != name {
			t.Errorf("load into %q: %v; want %s…", r.Place, r.Err, want)
		}
	}
}

func TestJobsAreForLoadsToo(t *testing.T) {
	var to asked
	l := loadsWith(t, "--jobs", "3")
	root := blobtest.Image(t, &mem.Store{}, oci.Platform{OS: "linux", Architecture: "amd64"})
	if r := l.one(t.Context(), &to, deploy.Operation{Root: root}, nil); r.Err != nil || to.Jobs != 3 {
		t.Errorf("the daemon is to take %d blobs at once, %v: want 3", to.Jobs, r.Err)
	}
}
