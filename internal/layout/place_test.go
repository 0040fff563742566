package layout_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/layout"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// layoutIn writes a layout of one blob into a folder, and returns the blob's file.
func layoutIn(t *testing.T, folder string, body []byte) (*layout.Layout, oci.Descriptor, string) {
	t.Helper()
	s, d := dir.Store{Root: folder, Volatile: true}, blobtest.Describe(body)
	if err := s.Put(t.Context(), d, blobtest.Content(body)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "index.json"), []byte(`{"schemaVersion":2,"manifests":[]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	path, _ := s.Path(d)
	return openLayout(t, folder), d, path
}

func isSameFile(t *testing.T, a, b string) bool {
	t.Helper()
	x, err := os.Stat(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.Stat(b)
	if err != nil {
		t.Fatal(err)
	}
	return os.SameFile(x, y)
}

// TestOnlyOutputsAreLinked places a blob twice, as an action that runs again may, and looks at the layout's own file too.
func TestOnlyOutputsAreLinked(t *testing.T) {
	for name, row := range map[string]struct {
		folder string
		linked bool
	}{
		"an output of a build":     {"execroot/_main/bazel-out/k8-fastbuild/bin/made", true},
		"a file of the user":       {"workspace/layout", false},
		"a file of another module": {"external/other/layout", false},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			l, d, blobFile := layoutIn(t, filepath.Join(base, row.folder), []byte("the layer"))
			path := filepath.Join(base, "placed")
			for range 2 {
				if err := l.Place(t.Context(), d, path, io.Discard); err != nil {
					t.Fatal(err)
				}
				for _, file := range []string{path, blobFile} {
					if b, err := os.ReadFile(file); err != nil || string(b) != "the layer" {
						t.Errorf("%s is %q, %v", file, b, err)
					}
				}
				if linked := isSameFile(t, path, blobFile); linked != row.linked {
					t.Errorf("is a hard link: %v; want %v", linked, row.linked)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(base, ".*")); left != nil {
				t.Errorf("leaves %v", left)
			}
		})
	}
}

func TestIsOutput(t *testing.T) {
	for path, want := range map[string]bool{
		"/base/execroot/_main/bazel-out/k8-fastbuild/bin/x": true,
		"bazel-out/k8-fastbuild/bin/x":                      true, // without a sandbox
		"/home/me/workspace/x":                              false,
		"/home/me/my-bazel-out/x":                           false,
		"layout/blobs/x":                                    false,
	} {
		if got := layout.IsOutput(filepath.FromSlash(path)); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// TestASymlinkIsWhatItLeadsTo has layouts as a sandbox and bazel-bin show them: by a path that says nothing of where they are.
func TestASymlinkIsWhatItLeadsTo(t *testing.T) {
	base := t.TempDir()
	_, d, blobFile := layoutIn(t, filepath.Join(base, "workspace", "layout"), []byte("the layer"))
	alias := filepath.Join(base, "bazel-out", "bin")
	if err := os.Mkdir(filepath.Dir(alias), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(base, "workspace", "layout"), alias); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(base, "placed")
	if err := openLayout(t, alias).Place(t.Context(), d, path, io.Discard); err != nil {
		t.Fatal(err)
	}
	if isSameFile(t, path, blobFile) {
		t.Error("a source file became an output")
	}
}

func TestPlaceVerifiesAndLeavesNothingHalf(t *testing.T) {
	for _, folder := range []string{"bazel-out/bin", "workspace"} {
		base := t.TempDir()
		l, d, blobFile := layoutIn(t, filepath.Join(base, folder), []byte("right"))
		if err := os.WriteFile(blobFile, []byte("wrong"), 0o644); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(base, "placed")
		if err := l.Place(t.Context(), d, path, io.Discard); !errors.Is(err, blob.ErrMismatch) {
			t.Errorf("%s: error is %v; want ErrMismatch", folder, err)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s: placed what is wrong", folder)
		}
	}
}

func TestALayoutHasNoLinkToASourceFile(t *testing.T) {
	base := t.TempDir()
	source := dir.Store{Root: filepath.Join(base, "workspace"), Volatile: true}
	root := blobtest.Image(t, source, amd64, []byte("layer"))
	path := filepath.Join(base, "bazel-out", "layout")
	if _, err := layout.WriteDirectory(t.Context(), path, source, layout.Directory{Link: true, Volatile: true}, layout.Image{Root: root}); err != nil {
		t.Fatal(err)
	}
	for _, e := range blobs(t, path) {
		if isSameFile(t, filepath.Join(path, "blobs", "sha256", e.Name()), filepath.Join(source.Root, "blobs", "sha256", e.Name())) {
			t.Errorf("%s is a hard link to a source file", e.Name())
		}
	}
}
