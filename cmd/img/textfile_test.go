package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLongLines has one that many readers of lines would not take, and then one that is too long for any text.
func TestLongLines(t *testing.T) {
	read := map[string]func(path string) (string, error){
		"annotations_file": func(path string) (string, error) {
			got := map[string]string{}
			err := readAnnotations(path, got)
			return got["key"], err
		},
		"tag_file": func(path string) (string, error) {
			var in templateInput
			if err := in.readTags(path); err != nil {
				return "", err
			}
			return strings.TrimPrefix(in.tags[1], "key="), nil
		},
		"runfiles manifest": func(path string) (string, error) {
			r, err := findRunfiles("img", func(name string) string { return map[string]string{"RUNFILES_MANIFEST_FILE": path}[name] })
			return strings.TrimPrefix(r.Path("first=line"), "and/key="), err
		},
		"workspace status": func(path string) (string, error) {
			var in templateInput
			err := in.readStatus(path)
			got, _ := in.status["first=line"].(string)
			return strings.TrimPrefix(got, "and/key="), err
		},
	}
	for name, read := range read {
		first, second := "first=line\n", "key="
		if name == "runfiles manifest" || name == "workspace status" {
			first, second = "zero=line x\n", "first=line and/key="
		}
		path := filepath.Join(t.TempDir(), "text")
		for size, want := range map[int]string{100_000: "", 1 << 20: ": line 2: has more than 1048575 bytes"} {
			value := strings.Repeat("v", size)
			if err := os.WriteFile(path, []byte(first+second+value+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			switch got, err := read(path); {
			case want != "":
				wantError(t, err, want)
				wantError(t, err, name)
			case err != nil || got != value:
				t.Errorf("%s: a line of %d bytes is one of %d, %v", name, size, len(got), err)
			}
		}
	}
}

func TestRunfilesManifest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "MANIFEST")
	if err := os.WriteFile(path, []byte("_main/a /x/a b\n _main/b\\sc /x/\\bb\\nc\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := findRunfiles("img", func(name string) string { return map[string]string{"RUNFILES_MANIFEST_FILE": path}[name] })
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"_main/a": "/x/a b", "_main/b c": "/x/\\b\nc"} {
		if got := r.Path(name); got != want {
			t.Errorf("%q is at %q; want %q", name, got, want)
		}
	}
}
