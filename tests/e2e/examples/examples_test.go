// Package examples_test builds and pushes the examples as they stand, and looks at the result with code that is not ours. The demo does so
// for examples/hello.
package examples_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

func TestAHelmChartAndAWasmModule(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	w := copyExample(t, "artifacts")

	chart := pull(t, push(t, w, registry, "//:push_chart", registry+"/charts/hello:0.1.0"))
	manifest, err := chart.Manifest()
	bazeltest.Must(t, err)
	if manifest.Config.MediaType != "application/vnd.cncf.helm.config.v1+json" || len(manifest.Layers) != 1 ||
		manifest.Layers[0].MediaType != "application/vnd.cncf.helm.chart.content.v1.tar+gzip" {
		t.Errorf("the chart's manifest is %+v", manifest)
	}
	if got := files(t, chart); !strings.Contains(got, "hello/Chart.yaml hello/templates/configmap.yaml hello/values.yaml") {
		t.Errorf("the chart holds %s", got)
	}

	module := pull(t, push(t, w, registry, "//:push_module", registry+"/modules/hello:latest"))
	config, err := module.ConfigFile()
	bazeltest.Must(t, err)
	if config.OS != "wasip1" || config.Architecture != "wasm" || files(t, module) != "hello.wasm" {
		t.Errorf("the module's config is %+v, and it holds %s", config, files(t, module))
	}
}

// push pushes a target, and returns the last line that it prints, which must be the tag.
func push(t *testing.T, w *bazeltest.Workspace, registry, target, want string) string {
	t.Helper()
	lines := strings.Fields(w.Bazel("run", target, "--", "--registry", registry))
	if last := lines[len(lines)-1]; last != want {
		t.Fatalf("pushed %s, not %s", last, want)
	}
	return want
}

func pull(t *testing.T, reference string) v1.Image {
	t.Helper()
	ref, err := name.ParseReference(reference)
	bazeltest.Must(t, err)
	image, err := remote.Image(ref)
	bazeltest.Must(t, err)
	return image
}

// files are the names in the image's one layer.
func files(t *testing.T, image v1.Image) string {
	t.Helper()
	layers, err := image.Layers()
	bazeltest.Must(t, err)
	compressed, err := layers[0].Compressed()
	bazeltest.Must(t, err)
	defer compressed.Close()
	b, err := io.ReadAll(compressed)
	bazeltest.Must(t, err)
	z, err := gzip.NewReader(bytes.NewReader(b))
	bazeltest.Must(t, err)
	var names []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return strings.Join(names, " ")
		}
		bazeltest.Must(t, err)
		names = append(names, h.Name)
	}
}

func copied(t *testing.T, name string) *bazeltest.Workspace {
	return bazeltest.NewWorkspace(t, "../../../examples/"+name, "examples/"+name)
}

// copyExample copies an example beside the others. Downloads outlive the copy's output base.
func copyExample(t *testing.T, name string) *bazeltest.Workspace {
	t.Helper()
	w := copied(t, name)
	cache, err := os.UserCacheDir()
	bazeltest.Must(t, err)
	w.Flags = []string{"--repository_cache=" + filepath.Join(cache, "rules_img", "repositories")}
	t.Cleanup(func() { w.Try("shutdown") }) // a dozen idle servers are much memory
	return w
}
