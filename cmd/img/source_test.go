package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// TestALayerOfTheBaseIsMountedFromIt where base and image are in one registry: it is neither read nor sent.
func TestALayerOfTheBaseIsMountedFromIt(t *testing.T) {
	proxy, address := remotetest.NewProxy(t, remotetest.Olareg(t), nil)
	work := t.TempDir()
	store := dir.Store{Root: work, Volatile: true}
	linux := oci.Platform{OS: "linux", Architecture: "amd64"}
	shared := blobtest.Bytes("shared", 200_000)
	base := blobtest.Image(t, store, linux, shared)
	repo, err := remote.New(remote.Options{}).Repository(oci.Reference{Registry: address, Repository: "base"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blob.Copy(t.Context(), repo, store, blob.CopyOptions{}, base); err != nil {
		t.Fatal(err)
	}
	proxy.Reset()

	plan := deploy.Plan{
		Version: deploy.Version,
		Operations: []deploy.Operation{{
			Kind: deploy.KindPush, Name: "//:app", Root: blobtest.Image(t, store, linux, shared, blobtest.Bytes("own", 1000)),
			Registry: address, Repository: "app", Strategy: "eager",
		}},
		Blobs: []deploy.Blob{{Descriptor: blobtest.Describe(shared)}},
		Bases: []deploy.Base{{Registries: []string{address}, Repository: "base"}},
	}
	files, _ := filepath.Glob(work + "/blobs/sha256/*")
	for _, f := range files {
		if d := (oci.Descriptor{Digest: oci.Digest("sha256:" + filepath.Base(f))}); d.Digest != oci.DigestOf(shared) {
			plan.Blobs = append(plan.Blobs, deploy.Blob{Descriptor: d, File: "blobs/sha256/" + filepath.Base(f)})
		}
	}
	b, err := plan.Encode()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(work, "plan.json")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p := process{Stdout: &out, Stderr: &out, Getenv: func(key string) string {
		return map[string]string{"RUNFILES_DIR": work, "HOME": work}[key]
	}}
	if err := deployPlan(t.Context(), p, path, nil); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "1 blob there or mounted, 200.0 kB") {
		t.Errorf("said %q; want that the layer was mounted", out.String())
	}
	seen, _ := proxy.Reset()
	for _, s := range seen {
		if s.Method == "GET" && strings.HasPrefix(s.Path, "/v2/base/") {
			t.Errorf("read %s", s.Path)
		}
	}
}
