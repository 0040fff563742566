package main

import (
	"context"
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

func TestJobsAreForLoadsToo(t *testing.T) {
	f, err := parseDeployFlags(process{Stderr: t.Output()}, []string{"--jobs", "3"})
	if err != nil {
		t.Fatal(err)
	}
	var to asked
	l := &loads{deployment: &deployment{process: process{Getenv: func(string) string { return "" }}, deployFlags: f}, named: map[string]oci.Digest{}}
	root := blobtest.Image(t, &mem.Store{}, oci.Platform{OS: "linux", Architecture: "amd64"})
	if r := l.one(t.Context(), &to, deploy.Operation{Root: root}, nil); r.Err != nil || to.Jobs != 3 {
		t.Errorf("the daemon is to take %d blobs at once, %v: want 3", to.Jobs, r.Err)
	}
}
