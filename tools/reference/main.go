// Reference writes the reference pages: docs/api, one page for each public file of the rules, from what their own documentation says, as Bazel
// extracts it; and docs/cli, one page for each program, from what its --help says. With --check it writes nothing and fails when a page is not
// what it would write.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	check := flag.Bool("check", false, "write nothing, and fail when a page is not current")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	pages, err := api()
	if err != nil {
		return err
	}
	programs, err := programs()
	if err != nil {
		return err
	}
	maps.Copy(pages, programs)
	if check {
		return compare(pages)
	}
	for path, page := range pages {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, page, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// compare fails for pages that are missing, different, or there although nothing makes them.
func compare(pages map[string][]byte) error {
	wrong := map[string]bool{}
	for path, page := range pages {
		have, err := os.ReadFile(path)
		wrong[path] = err != nil || !bytes.Equal(have, page)
		there, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.md"))
		if err != nil {
			return err
		}
		for _, other := range there {
			if _, ok := pages[other]; !ok {
				wrong[other] = true
			}
		}
	}
	maps.DeleteFunc(wrong, func(_ string, is bool) bool { return !is })
	if len(wrong) > 0 {
		return fmt.Errorf("not current, run make docs: %s", strings.Join(slices.Sorted(maps.Keys(wrong)), " "))
	}
	fmt.Printf("reference: OK, %d pages\n", len(pages))
	return nil
}
