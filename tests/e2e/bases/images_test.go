package bases_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// TestModulesShareImages builds with three modules that pull, some of it the same.
func TestModulesShareImages(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	p := newProxy(t, registry, nil).start()
	shared, inOwn, inLazy := fresh("shared"), fresh("own"), fresh("lazy")
	own := makeImage(t, "linux/amd64", shared, inOwn)
	ofLiba := makeImage(t, "linux/amd64", shared, fresh("liba"))
	lazyImage := makeImage(t, "linux/amd64", inLazy)
	replace := []string{
		"REGISTRY", p.host(),
		"DIGEST_OWN", push(t, registry, "own", own),
		"DIGEST_OF_LIBA", push(t, registry, "of_liba", ofLiba),
		"DIGEST_ROOTS_CHOICE", push(t, registry, "contested", makeImage(t, "linux/amd64", fresh("root"))),
		"DIGEST_LIBAS_CHOICE", push(t, registry, "contested", makeImage(t, "linux/amd64", fresh("liba's"))),
		"DIGEST_LAZY", push(t, registry, "lazy", lazyImage),
	}
	w := newWorkspace(t, "modules", replace...)

	w.Bazel("build", "//:on_contested", "//:on_no_base")
	asked := p.took()
	if n := len(about(asked, "/blobs/"+own.layers[1])) + len(about(asked, "/blobs/"+own.layers[0])); n > 0 {
		t.Errorf("an image on a shallow base asked for layers of other bases: %q", asked)
	}
	if len(about(asked, replace[7])) == 0 || len(about(asked, replace[9])) > 0 {
		t.Errorf("the root's choice is %s and liba's is %s, and asked for was %q", replace[7], replace[9], asked)
	}

	w.Bazel("build", "//:all", "@liba//:on_of_liba")
	for _, text := range w.contents("//:layers_of_lazy") {
		if text != compressed(t, lazyImage) {
			t.Error("the lazy layer is another one than was pushed")
		}
	}
	asked = append(asked, p.took()...)
	for _, path := range []string{
		"own/manifests/" + replace[3], "of_liba/manifests/" + replace[5], "lazy/manifests/" + replace[11],
		"/blobs/" + own.layers[0], "/blobs/" + own.layers[1], "/blobs/" + lazyImage.layers[0],
	} {
		if got := about(asked, path); len(got) != 1 {
			t.Errorf("asked %d times for %s: %q", len(got), path, got)
		}
	}

	wantIn(t, w.Fails("build", "//unknown"), `image("nobody's"): no module pulls an image of this name with images.pull(): there are own, contested, of_liba, lazy`)

	// Nothing of this needs the registry again.
	p.Close()
	t.Setenv("PATH", filepath.Dir(tool(t, "buildozer"))+string(os.PathListSeparator)+os.Getenv("PATH"))
	elsewhere := w.Fresh()
	elsewhere.Bazel("build", "--", "//:all", "-//:layers_of_lazy")

	// The imports are what the extension says they should be.
	before := readFile(t, w, "MODULE.bazel")
	elsewhere.Bazel("mod", "tidy")
	if after := readFile(t, w, "MODULE.bazel"); after != before || strings.Contains(elsewhere.Stderr, "use_repo") {
		t.Errorf("bazel mod tidy says:\n%s\nand made of MODULE.bazel:\n%s", elsewhere.Stderr, after)
	}
}

// tool is the path of a program that tools/get-tool gets.
func tool(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(bazeltest.Root(t), "tools", "get-tool"), name).Output()
	bazeltest.Must(t, err)
	return strings.TrimSpace(string(out))
}

func TestImagesThatModulesDisagreeAbout(t *testing.T) {
	registry := bazeltest.StartRegistry(t)
	digest := push(t, registry, "a", makeImage(t, "linux/amd64", fresh("a")))
	other := "sha256:" + strings.Repeat("1", 64)
	w := newWorkspace(t, "modules", "REGISTRY", registry, "DIGEST_LAZY", digest, "DIGEST_OWN", digest, "DIGEST_OF_LIBA", digest, "DIGEST_ROOTS_CHOICE", digest, "DIGEST_LIBAS_CHOICE", other)
	w.WriteFile("libb/MODULE.bazel", strings.ReplaceAll(readFile(t, w, "libb/MODULE.bazel"), digest, other))
	wantIn(t, w.Fails("build", "--nobuild", "//:on_no_base"),
		`images.pull: "of_liba" is `+registry+"/of_liba@"+digest+" for the module liba@1 and "+registry+"/of_liba@"+other+" for the module libb@1: pull it under this name in the root module")
}

func readFile(t *testing.T, w workspace, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.Dir, name))
	bazeltest.Must(t, err)
	return string(b)
}
