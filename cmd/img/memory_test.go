package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/tests/memory"
)

var fullSize = flag.Bool("memory", false, "measure memory with 10 GiB and 200,000 files, which takes minutes, instead of smaller layers")

// program is img without the race detector, which takes several times the memory.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "img")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// TestMemoryIsBounded runs img on a layer of one large file and on one of many small ones. Both are sparse: only what the tool
// does with them takes memory and time.
func TestMemoryIsBounded(t *testing.T) {
	if runtime.GOOS != "linux" || testing.Short() {
		t.Skip("measures by /proc, and takes seconds")
	}
	size, files, limitOfFiles := int64(1<<30), 20_000, int64(100<<20)
	if *fullSize {
		size, files, limitOfFiles = 10<<30, 200_000, 400<<20
	}
	img := program(t)
	for _, format := range []string{"gzip", "zstd"} {
		dir := t.TempDir()
		large, err := os.Create(filepath.Join(dir, "large"))
		if err != nil {
			t.Fatal(err)
		}
		for at := int64(0); at < size; at += 1 << 20 { // so that the pieces differ
			fmt.Fprint(large, at)
			if _, err := large.Seek(at, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := large.Truncate(size); err != nil {
			t.Fatal(err)
		}
		large.Close()
		peak := peakOf(t, img, dir, format, func(add func(path, from string)) { add("large", large.Name()) })
		t.Logf("%s, %d MiB in one file: %d MiB", format, size>>20, peak>>20)
		if peak > 150<<20 {
			t.Errorf("%s: a file of %d MiB took %d MiB of memory: want at most 150", format, size>>20, peak>>20)
		}
		peak = peakOf(t, img, dir, format, func(add func(path, from string)) {
			for i := range files {
				from := filepath.Join(dir, fmt.Sprint(i%2000))
				if i < 2000 {
					if err := os.WriteFile(from, fmt.Appendf(nil, "%04d", i), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				add(fmt.Sprintf("usr/lib/python3/dist-packages/package%d/module%d.py", i/40, i), from)
			}
		})
		t.Logf("%s, %d files: %d MiB", format, files, peak>>20)
		if peak > limitOfFiles {
			t.Errorf("%s: %d files took %d MiB of memory: want at most %d", format, files, peak>>20, limitOfFiles>>20)
		}
	}
}

// peakOf runs img on a request and returns the most memory it had.
func peakOf(t *testing.T, img, dir, format string, fill func(add func(path, from string))) int64 {
	t.Helper()
	path := filepath.Join(dir, "request")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	b := bufio.NewWriter(f)
	fmt.Fprintf(b, `{"kind":"layer","version":1,"name":"//:a","compress":%q,"level":"1","jobs":"auto","estargz":false,"create_parents":true,"tree_artifacts":"full"}`+"\n", format)
	fmt.Fprintf(b, `{"type":"blob","from":%q}`+"\n", filepath.Join(dir, "blob"))
	fmt.Fprintf(b, `{"type":"metadata","from":%q}`+"\n", filepath.Join(dir, "metadata"))
	fill(func(path, from string) { fmt.Fprintf(b, `{"type":"file","path":%q,"from":%q}`+"\n", path, from) })
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	cmd := exec.Command(img, "layer", "@"+path)
	cmd.Env = []string{"IMG_FRAME_CACHE=off"}
	var talk strings.Builder
	cmd.Stderr = &talk
	peak, err := memory.Peak(cmd)
	if err != nil {
		t.Fatalf("%v\n%s", err, talk.String())
	}
	return peak
}
