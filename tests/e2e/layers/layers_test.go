// Package layers_test makes layers of every kind of input with a real Bazel. What is in each is testdata/layers.txt, for people to
// read; what other programs make of them is in archives_test.go.
package layers_test

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/bazel-contrib/rules_img/internal/layer/estargz"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

func TestEveryInput(t *testing.T) {
	w := newWorkspace(t)
	sandboxed := listings(t, build(t, w, "--spawn_strategy=sandboxed"))
	bazeltest.Golden(t, "layers.txt", sandboxed)
	for way, flags := range map[string][]string{
		// Another number of jobs changes the request, so that the action runs again.
		"outside of a sandbox":         {"--spawn_strategy=local", "--@rules_img//img/settings:compression_jobs=3"},
		"sandboxed, with mapped paths": {"--spawn_strategy=sandboxed", "--experimental_output_paths=strip"},
		"by a worker":                  {"--spawn_strategy=worker,sandboxed", "--@rules_img//img/settings:compression_jobs=4"},
		"by a worker in a sandbox":     {"--spawn_strategy=worker,sandboxed", "--worker_sandboxing", "--noworker_multiplex", "--@rules_img//img/settings:compression_jobs=5"},
		"by a worker in sandboxes":     {"--spawn_strategy=worker,sandboxed", "--worker_sandboxing", "--experimental_worker_multiplex_sandboxing", "--@rules_img//img/settings:compression_jobs=6"},
		"so, with mapped paths":        {"--spawn_strategy=worker,sandboxed", "--worker_sandboxing", "--experimental_worker_multiplex_sandboxing", "--experimental_output_paths=strip", "--@rules_img//img/settings:compression_jobs=7"},
	} {
		t.Run(way, func(t *testing.T) {
			if d := cmp.Diff(sandboxed, listings(t, build(t, w, flags...))); d != "" {
				t.Errorf("layers (-sandboxed +now):\n%s", d)
			}
		})
	}
}

func TestLayersThatCannotBe(t *testing.T) {
	w := newWorkspace(t)
	for target, want := range map[string]string{
		"//:bad_key":     `a/../../b": leaves the root of the image`,
		"//:bad_parent":  "path /a/b (the file source/hello.txt): lies below /a, which is no directory but the file bazel-out/",
		"//:bad_twice":   "path /a: is given twice: the file bazel-out/",
		"//:bad_archive": `broken.tar: byte 514: the archive ends here: it is truncated, or a size in it is wrong (after the header of "one")`,
	} {
		if message := w.Fails("build", target); !strings.Contains(message, want) {
			t.Errorf("%s: the message does not say %q:\n%s", target, want, message)
		}
	}
}

// newWorkspace replaces a path on whatever machine this is.
func newWorkspace(t *testing.T) *bazeltest.Workspace {
	t.Helper()
	cache, err := os.UserCacheDir()
	bazeltest.Must(t, err)
	return bazeltest.NewWorkspace(t, "workspace", "layers", "/elsewhere/on/this/machine", filepath.Join(cache, "rules_img", "e2e", "layers"))
}

// build builds every layer and returns the blobs: by name, their paths.
func build(t *testing.T, w *bazeltest.Workspace, flags ...string) map[string]string {
	t.Helper()
	w.Bazel("build", append([]string{"//..."}, flags...)...)
	root := strings.TrimSpace(w.Bazel("info", "execution_root"))
	query := `kind("(image_layer|layer_from_tar) rule", //...) except attr("tags", "manual", //...)`
	blobs := map[string]string{}
	for _, file := range strings.Fields(w.Bazel("cquery", append([]string{"--output=files", query}, flags...)...)) {
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		blobs[name] = filepath.Join(root, file)
	}
	return blobs
}

func listings(t *testing.T, blobs map[string]string) string {
	t.Helper()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(blobs)) {
		fmt.Fprintf(&b, "%s\n", name)
		for _, m := range read(t, blobs[name]) {
			fmt.Fprintf(&b, "  %s\n", m)
		}
	}
	return b.String()
}

// member is what a person sees of an entry.
type member struct {
	*tar.Header
	content string
}

func (m member) String() string {
	line := fmt.Sprintf("%s %d:%d %s", m.FileInfo().Mode(), m.Uid, m.Gid, shown(m.Name))
	switch m.Typeflag {
	case tar.TypeSymlink:
		line += " -> " + shown(m.Linkname)
	case tar.TypeLink:
		line += " = " + shown(m.Linkname)
	case tar.TypeReg:
		if m.Name == estargz.Name {
			return line + " the index"
		}
		line += " " + shown(m.content)
	}
	if m.Uname+m.Gname != "" {
		line += fmt.Sprintf(" owner %s:%s", m.Uname, m.Gname)
	}
	if m.ModTime.Unix() != 0 {
		line += " at " + m.ModTime.UTC().Format("2006-01-02T15:04:05.99Z")
	}
	for _, k := range slices.Sorted(maps.Keys(m.PAXRecords)) {
		if strings.Contains(k, ".") {
			line += fmt.Sprintf(" %s=%q", k, m.PAXRecords[k])
		}
	}
	return line
}

// shown quotes what is odd and shortens what is long.
func shown(s string) string {
	q := fmt.Sprintf("%q", s)
	if len(s) > 120 {
		return fmt.Sprintf("%.20s…%s (%d bytes)", q, q[len(q)-13:], len(s))
	}
	return q
}

func read(t *testing.T, path string) []member {
	t.Helper()
	var all []member
	for r := tar.NewReader(decompressed(t, path)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		bazeltest.Must(t, err)
		content, err := io.ReadAll(r)
		bazeltest.Must(t, err)
		all = append(all, member{h, string(content)})
	}
}

func decompressed(t *testing.T, path string) io.Reader {
	t.Helper()
	f, err := os.Open(path)
	bazeltest.Must(t, err)
	t.Cleanup(func() { f.Close() })
	switch {
	case strings.HasSuffix(path, ".tgz"), strings.HasSuffix(path, ".gz"):
		z, err := gzip.NewReader(f)
		bazeltest.Must(t, err)
		return z
	case strings.HasSuffix(path, ".zst"):
		z, err := zstd.NewReader(f)
		bazeltest.Must(t, err)
		t.Cleanup(z.Close)
		return z
	}
	return f
}
