package main

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	files := fstest.MapFS{
		"docs/other.md":  {Data: []byte("# Other things\n## Twice\n## Twice\n## `code`, and more!\n")},
		"docs/sub/a.txt": {},
	}
	for _, row := range []struct {
		it, text string
		want     []string
	}{
		{"takes files, folders and other hosts", "[a](other.md) [b](sub) [c](https://nowhere.invalid/x) [d](mailto:a@b)\n\n[e]: sub/a.txt", nil},
		{"takes headings", "# Here\n[a](#here) [b](other.md#other-things) [c](other.md#twice-1) [d](other.md#code-and-more)", nil},
		{"takes no notice of code", "`[a](gone.md)`\n```\n[b](gone.md)\n```\n", nil},
		{"finds a missing file, with its line", "\n[a](gone.md)", []string{"docs/page.md:2: gone.md: there is no such file"}},
		{"finds a missing heading", "[a](other.md#twice-2)", []string{"docs/page.md:1: other.md#twice-2: docs/other.md has no such heading"}},
		{"finds what leaves the repository", "[a](../../x) [b](/etc)", []string{"docs/page.md:1: ../../x: leaves the repository", "docs/page.md:1: /etc: leaves the repository"}},
		{"finds a named link", "[e]: gone.txt", []string{"docs/page.md:1: gone.txt: there is no such file"}},
	} {
		t.Run(row.it, func(t *testing.T) {
			files["docs/page.md"] = &fstest.MapFile{Data: []byte(row.text)}
			if _, got := check(files, "docs/page.md"); !cmp.Equal(row.want, got) {
				t.Errorf("(-want +got):\n%s", cmp.Diff(row.want, got))
			}
		})
	}
}
