package images_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

type workspace struct {
	*bazeltest.Workspace
	t *testing.T
}

func newWorkspace(t *testing.T) workspace {
	t.Helper()
	return workspace{bazeltest.NewWorkspace(t, "workspace", "images"), t}
}

// files builds a target and returns the contents of its default files, by what follows its name.
func (w workspace) files(target string, flags ...string) map[string][]byte {
	w.t.Helper()
	all := map[string][]byte{}
	for _, path := range w.Build(append([]string{target}, flags...)...) {
		b, err := os.ReadFile(path)
		bazeltest.Must(w.t, err)
		all[strings.TrimPrefix(filepath.Base(path), strings.TrimPrefix(target, "//:"))] = b
	}
	return all
}

func (w workspace) image(target string, flags ...string) (*v1.Manifest, *v1.ConfigFile) {
	w.t.Helper()
	files := w.files(target, flags...)
	config, err := v1.ParseConfigFile(bytes.NewReader(files[".config.json"]))
	bazeltest.Must(w.t, err)
	return manifestOf(w.t, files[".manifest.json"]), config
}

func (w workspace) digest(target string) string {
	w.t.Helper()
	b, err := os.ReadFile(w.Build(target, "--output_groups=digest")[0])
	bazeltest.Must(w.t, err)
	return string(b)
}

// executed builds and counts the actions that ran and were no hits of a cache, by mnemonic.
func (w workspace) executed(args ...string) map[string]int {
	w.t.Helper()
	log := filepath.Join(w.t.TempDir(), "execution.json")
	w.Bazel("build", append([]string{"--execution_log_json_file=" + log}, args...)...)
	f, err := os.Open(log)
	bazeltest.Must(w.t, err)
	defer f.Close()
	count := map[string]int{}
	for d := json.NewDecoder(bufio.NewReader(f)); d.More(); {
		var spawn struct {
			Mnemonic string
			CacheHit bool
		}
		bazeltest.Must(w.t, d.Decode(&spawn))
		if !spawn.CacheHit {
			count[spawn.Mnemonic]++
		}
	}
	return count
}

// makeLayouts writes the layouts that the workspace converts, with code that is not ours, and returns the digests of what is in them: an
// image without a platform in its descriptor, and an index inside the layout's.
func (w workspace) makeLayouts() (one, many string) {
	w.t.Helper()
	image := w.randomImage("arm64", 1)
	path, err := layout.Write(w.place("one"), empty.Index)
	bazeltest.Must(w.t, err)
	bazeltest.Must(w.t, path.AppendImage(image))
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range []string{"amd64", "arm64"} {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: w.randomImage(arch, 2), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	path, err = layout.Write(w.place("many"), empty.Index)
	bazeltest.Must(w.t, err)
	bazeltest.Must(w.t, path.AppendIndex(index))
	return w.digestOf(image), w.digestOf(index)
}

func (w workspace) place(name string) string {
	w.t.Helper()
	dir := filepath.Join(w.Dir, "layouts", name)
	bazeltest.Must(w.t, os.RemoveAll(dir))
	bazeltest.Must(w.t, os.MkdirAll(dir, 0o755))
	return dir
}

func (w workspace) digestOf(of interface{ Digest() (v1.Hash, error) }) string {
	w.t.Helper()
	digest, err := of.Digest()
	bazeltest.Must(w.t, err)
	return digest.String()
}

func (w workspace) randomImage(arch string, layers int64) v1.Image {
	w.t.Helper()
	image, err := random.Image(100, layers)
	bazeltest.Must(w.t, err)
	config, err := image.ConfigFile()
	bazeltest.Must(w.t, err)
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	image, err = mutate.ConfigFile(mutate.ConfigMediaType(mutate.MediaType(image, types.OCIManifestSchema1), types.OCIConfigJSON), config)
	bazeltest.Must(w.t, err)
	return image
}
