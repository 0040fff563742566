// Command analysis measures what Bazel spends on images before it builds any: it generates workspaces of many images on one base of 30
// layers, has a fresh Bazel analyse each, and prints time, memory and actions against the number of images.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const layersOfBase = 30

func main() {
	log.SetFlags(0)
	log.SetPrefix("analysis: ")
	counts := flag.String("images", "100,1000,3000", "numbers of images, separated by commas")
	flag.Parse()
	root, err := filepath.Abs(".")
	check(err)
	bazel, err := exec.Command(filepath.Join(root, "tools", "get-bazel")).Output()
	check(err)
	fmt.Println("| images | analysis | of one image | heap after | of one image | actions |")
	fmt.Println("|---:|---:|---:|---:|---:|---:|")
	for count := range strings.SplitSeq(*counts, ",") {
		n, err := strconv.Atoi(count)
		check(err)
		measure(root, strings.TrimSpace(string(bazel)), n)
	}
}

func measure(root, bazel string, images int) {
	cache, err := os.UserCacheDir()
	check(err)
	dir := filepath.Join(cache, "rules_img", "bench", fmt.Sprintf("analysis-%d", images))
	generate(root, dir, images)
	run := func(args ...string) string {
		cmd := exec.Command(bazel, args...)
		cmd.Dir = dir
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		check(err)
		return strings.TrimSpace(string(out))
	}
	quiet := []string{"--noshow_progress", "--ui_event_filters=-info"}
	build := func(target string) { run(append([]string{"build", "--nobuild", target}, quiet...)...) }
	build("//:base") // the tool is built, the rules are loaded, the JVM is warm
	heapBefore := megabytes(run("info", "used-heap-size-after-gc"))
	start := time.Now()
	build("//...")
	took := time.Since(start)
	heap := megabytes(run("info", "used-heap-size-after-gc")) - heapBefore
	summary := run(append([]string{"aquery", "--output=summary", "//..."}, quiet...)...)
	first, _, _ := strings.Cut(summary, "\n")
	actions, err := strconv.Atoi(strings.Fields(first)[0])
	check(err)
	fmt.Printf("| %d | %.1f s | %.2f ms | %d MB | %.1f KB | %d |\n", images, took.Seconds(),
		float64(took.Milliseconds())/float64(images), heap, float64(heap)*1024/float64(images), actions)
	run("shutdown")
}

// generate writes packages of a hundred images each, every one with a push.
func generate(root, dir string, images int) {
	check(os.RemoveAll(dir))
	write(dir, "MODULE.bazel", fmt.Sprintf("bazel_dep(name = \"rules_img\", version = \"0.4.0\")\nlocal_path_override(module_name = \"rules_img\", path = %q)\n", root))
	write(dir, "BUILD.bazel", fmt.Sprintf(`load("@rules_img//img:image.bzl", "image_manifest")
load("@rules_img//img:layer.bzl", "image_layer")

package(default_visibility = ["//visibility:public"])

[image_layer(name = "base_%%d" %% i, symlinks = {"/l%%d" %% i: "x"}) for i in range(%d)]

image_manifest(name = "base", layers = [":base_%%d" %% i for i in range(%d)])
`, layersOfBase, layersOfBase))
	for first := 0; first < images; first += 100 {
		write(dir, fmt.Sprintf("p%d/BUILD.bazel", first/100), fmt.Sprintf(`load("@rules_img//img:image.bzl", "image_manifest")
load("@rules_img//img:layer.bzl", "image_layer")
load("@rules_img//img:push.bzl", "image_push")

[image_layer(name = "layer_%%d" %% i, symlinks = {"/app": str(i)}) for i in range(%[1]d)]

[image_manifest(name = "image_%%d" %% i, base = "//:base", layers = [":layer_%%d" %% i]) for i in range(%[1]d)]

[image_push(name = "push_%%d" %% i, image = ":image_%%d" %% i, registry = "registry.example", repository = "app/%%d" %% i) for i in range(%[1]d)]
`, min(100, images-first)))
	}
}

func write(dir, name, text string) {
	path := filepath.Join(dir, name)
	check(os.MkdirAll(filepath.Dir(path), 0o755))
	check(os.WriteFile(path, []byte(text), 0o644))
}

func megabytes(text string) int {
	n, err := strconv.Atoi(strings.TrimSuffix(text, "MB"))
	check(err)
	return n
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
