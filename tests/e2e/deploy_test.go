package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// loader is a program that loads images by keeping the archives that it is handed.
func loader(t *testing.T) (program, archive string) {
	t.Helper()
	dir := t.TempDir()
	program, archive = filepath.Join(dir, "loader"), filepath.Join(dir, "archive.tar")
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = load ] && exec cat >%s\n", archive)
	bazeltest.Must(t, os.WriteFile(program, []byte(script), 0o755))
	return program, archive
}

func wantLoaded(t *testing.T, archive, tag string) {
	t.Helper()
	ref, err := name.NewTag(tag)
	bazeltest.Must(t, err)
	image, err := tarball.ImageFromPath(archive, &ref)
	bazeltest.Must(t, err)
	bazeltest.Must(t, validate.Image(image, validate.Fast))
	config, err := image.ConfigFile()
	bazeltest.Must(t, err)
	if config.Architecture != "amd64" || config.Config.Labels["team"] != "e2e" {
		t.Errorf("what was loaded is %+v", config)
	}
}

func TestLoadHandsOverAnArchive(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	w := newWorkspace(t, "consumer", registry, pushBase(t, registry))
	program, archive := loader(t)
	t.Setenv("LOADER_BINARY", program)
	out := strings.Fields(w.Bazel("run", "//:load", "--", "--tag", "app:extra", "--platform", "linux/amd64"))
	if d := cmp.Diff([]string{"app:e2e", "registry.example:5000/app:latest", "app:extra"}, out[1:]); d != "" || !strings.HasPrefix(out[0], "sha256:") {
		t.Errorf("load printed %q: want the digest and the names (-want +got):\n%s", out, d)
	}
	for _, tag := range []string{"app:e2e", "registry.example:5000/app:latest", "app:extra"} {
		wantLoaded(t, archive, tag)
	}
}

func TestMultiDeployPushesAndLoadsInOneRun(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	w := newWorkspace(t, "consumer", registry, pushBase(t, registry))
	program, archive := loader(t)
	t.Setenv("LOADER_BINARY", program)
	out := w.Bazel("run", "//:deploy", "--", "--registry", registry)
	for _, want := range []string{registry + "/team/app@sha256:", registry + "/team/app:v1\n", "app:e2e\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("stdout does not say %q:\n%s", want, out)
		}
	}
	wantLoaded(t, archive, "app:e2e")

	bazeltest.Must(t, os.Remove(program))
	said := w.Fails("run", "//:deploy", "--", "--registry", registry)
	if !strings.Contains(said, "there already") || !strings.Contains(lastLines(said, 4), "//:load") {
		t.Errorf("want a push in spite of a load that fails, and last lines that name it:\n%s", said)
	}
}

func TestALoadIsDataOfATest(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	w := newWorkspace(t, "consumer", registry, pushBase(t, registry))
	program, archive := loader(t)
	w.Bazel("test", "//:load_test", "--test_env=LOADER_BINARY="+program, "--spawn_strategy=local", "--nocache_test_results", "--test_output=errors")
	wantLoaded(t, archive, "app:in-test")
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
