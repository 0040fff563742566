package scene

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	baseLayers = 10
	depLayers  = 5
	inPackage  = 100 // images of one package
)

// Monorepo is a generated workspace: images on one base of 10 layers, each with some of five shared layers and a small one of its own.
// //:push pushes all of them; //:warm_up is next to nothing.
type Monorepo struct {
	Dir      string
	Images   int
	Multi    int    // how many of them are for two platforms
	Registry string // host:port that they are pushed to
}

// NewMonorepo generates one below the user's cache, where Bazel's sandbox sees it. root is this repository.
func NewMonorepo(root, name, registry string, images, multi int) (Monorepo, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return Monorepo{}, err
	}
	w := Monorepo{filepath.Join(cache, "rules_img", "bench", name), images, multi, registry}
	return w, w.generate(root)
}

func (w Monorepo) generate(root string) error {
	if err := os.RemoveAll(w.Dir); err != nil {
		return err
	}
	files := map[string]string{
		"MODULE.bazel": fmt.Sprintf(`bazel_dep(name = "rules_img", version = "0.4.0")
bazel_dep(name = "platforms", version = "1.0.0")
local_path_override(module_name = "rules_img", path = %q)
`, root),
		"BUILD.bazel":      w.top(),
		"base/BUILD.bazel": shared("base", baseLayers) + "\nimage_manifest(name = \"base\", layers = [\":layer_%d\" % i for i in range(10)])\n",
		"deps/BUILD.bazel": shared("dep", depLayers),
	}
	for i := range baseLayers {
		addFiles(files, fmt.Sprintf("base/%d", i), 20)
	}
	for i := range depLayers {
		addFiles(files, fmt.Sprintf("deps/%d", i), 40)
	}
	for first := 0; first < w.Images; first += inPackage {
		files[fmt.Sprintf("p%d/BUILD.bazel", first/inPackage)] = w.hundred(first)
	}
	for i := range w.Images {
		files[w.private(i)] = text(fmt.Sprintf("image %d", i), 4_000)
	}
	for name, content := range files {
		if err := w.write(name, content); err != nil {
			return err
		}
	}
	return nil
}

func (w Monorepo) write(name, content string) error {
	path := filepath.Join(w.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o644)
}

// private is the file that only image i has.
func (w Monorepo) private(i int) string { return fmt.Sprintf("p%d/own/%d.txt", i/inPackage, i) }

// ChangeShared changes a file of the first shared layer.
func (w Monorepo) ChangeShared() error { return w.change("deps/0/7.txt") }

// ChangePrivate changes the layers that so many images have for themselves.
func (w Monorepo) ChangePrivate(count int) error {
	for i := range count {
		if err := w.change(w.private(i * w.Images / count)); err != nil {
			return err
		}
	}
	return nil
}

func (w Monorepo) change(name string) error {
	return w.write(name, text(name+time.Now().String(), 4_000))
}

const loads = `load("@rules_img//img:image.bzl", "image_index", "image_manifest")
load("@rules_img//img:layer.bzl", "image_layer")
load("@rules_img//img:multi_deploy.bzl", "multi_deploy")
load("@rules_img//img:push.bzl", "image_push")

package(default_visibility = ["//visibility:public"])
`

// shared is the package of layers that many images have.
func shared(prefix string, layers int) string {
	return loads + fmt.Sprintf(`
[image_layer(
    name = "layer_%%d" %% i,
    srcs = {"/%[1]s/%%d/%%s" %% (i, f): f for f in glob(["%%d/*.txt" %% i])},
) for i in range(%[2]d)]
`, prefix, layers)
}

// hundred is a package of a hundred images and their pushes. The five lowest bits of an image's number are the shared layers that it
// has.
func (w Monorepo) hundred(first int) string {
	return loads + fmt.Sprintf(`
_NUMBERS = range(%[1]d, %[2]d)

[image_layer(name = "own_%%d" %% i, srcs = {"/app/config.txt": "own/%%d.txt" %% i}) for i in _NUMBERS]

[image_manifest(
    name = "image_%%d" %% i,
    base = "//base",
    entrypoint = ["/app/server-%%d" %% i],
    layers = ["//deps:layer_%%d" %% d for d in range(%[3]d) if (i + 1) // (1 << d) %% 2] + [":own_%%d" %% i],
) for i in _NUMBERS]

[image_index(name = "index_%%d" %% i, manifests = [":image_%%d" %% i], platforms = ["//:amd64", "//:arm64"]) for i in _NUMBERS if i < %[4]d]

[image_push(
    name = "push_%%d" %% i,
    image = ":%%s_%%d" %% ("index" if i < %[4]d else "image", i),
    registry = %[5]q,
    repository = "team/app-%%d" %% i,
    tag = "latest",
) for i in _NUMBERS]
`, first, min(first+inPackage, w.Images), depLayers, w.Multi, w.Registry)
}

func (w Monorepo) top() string {
	var pushes strings.Builder
	for i := range w.Images {
		fmt.Fprintf(&pushes, "        \"//p%d:push_%d\",\n", i/inPackage, i)
	}
	return loads + `
[platform(
    name = cpu,
    constraint_values = ["@platforms//os:linux", "@platforms//cpu:" + ("x86_64" if cpu == "amd64" else cpu)],
) for cpu in ["amd64", "arm64"]]

image_layer(name = "warm_up", symlinks = {"/a": "b"})

multi_deploy(
    name = "push",
    operations = [
` + pushes.String() + "    ],\n)\n"
}

func addFiles(files map[string]string, dir string, count int) {
	for i := range count {
		name := fmt.Sprintf("%s/%d.txt", dir, i)
		files[name] = text(name, 50_000)
	}
}

// text is so many bytes that compress about as programs do, the same for each seed.
func text(seed string, size int) string {
	var key [32]byte
	copy(key[:], seed)
	r := rand.New(rand.NewChaCha8(key))
	var b bytes.Buffer
	for b.Len() < size {
		fmt.Fprintf(&b, "%08x call %03d\n", r.Uint32(), r.IntN(300))
	}
	return b.String()[:size]
}
