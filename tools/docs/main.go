// Docs checks that every link in the Markdown files named by its arguments, or in all of the repository's, leads to something: a
// file, a directory, a heading. Links to other hosts are not followed, so it needs no network.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

func main() {
	files := os.Args[1:]
	if len(files) == 0 {
		var err error
		if files, err = all(); err != nil {
			fmt.Fprintln(os.Stderr, "docs:", err)
			os.Exit(1)
		}
	}
	links, broken := 0, 0
	for _, file := range files {
		n, problems := check(os.DirFS("."), filepath.ToSlash(file))
		links += n
		for _, p := range problems {
			broken++
			fmt.Fprintln(os.Stderr, "docs:", p)
		}
	}
	if broken > 0 {
		os.Exit(1)
	}
	fmt.Printf("docs: OK, %d links in %d files\n", links, len(files))
}

// all lists the repository's Markdown files.
func all() ([]string, error) {
	out, err := exec.Command("tools/list", "markdown").Output()
	if err != nil {
		return nil, fmt.Errorf("tools/list, from the root of the repository: %w", err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }), nil
}

// check returns how many links the file has, and what is wrong with them.
func check(files fs.FS, file string) (links int, problems []string) {
	b, err := fs.ReadFile(files, file)
	if err != nil {
		return 0, []string{err.Error()}
	}
	for n, line := range prose(string(b)) {
		for _, target := range targets(line) {
			links++
			if why := resolve(files, file, target); why != "" {
				problems = append(problems, fmt.Sprintf("%s:%d: %s: %s", file, n+1, target, why))
			}
		}
	}
	return links, problems
}

var (
	code   = regexp.MustCompile("`+[^`]*`+")
	inline = regexp.MustCompile(`\]\(<?([^()\s<>]*)>?(?:\s+"[^"]*")?\)`)
	named  = regexp.MustCompile(`^\s{0,3}\[[^\]]+\]:\s*<?([^\s<>]+)>?`)
	away   = regexp.MustCompile(`^[a-z][a-z0-9+.-]*:|^//`)
)

// prose is the lines of a document with everything that is code left empty.
func prose(text string) []string {
	lines := strings.Split(text, "\n")
	fence := ""
	for i, line := range lines {
		mark := strings.TrimLeft(line, " ")
		switch {
		case fence != "":
			if strings.HasPrefix(mark, fence) {
				fence = ""
			}
			lines[i] = ""
		case strings.HasPrefix(mark, "```"), strings.HasPrefix(mark, "~~~"):
			fence, lines[i] = mark[:3], ""
		default:
			lines[i] = code.ReplaceAllString(line, "")
		}
	}
	return lines
}

// targets are where the links of a line lead.
func targets(line string) []string {
	var out []string
	for _, m := range append(inline.FindAllStringSubmatch(line, -1), named.FindAllStringSubmatch(line, -1)...) {
		out = append(out, m[1])
	}
	return out
}

// resolve says what is wrong with a link; nothing when it is fine or leads elsewhere.
func resolve(files fs.FS, from, target string) string {
	if away.MatchString(target) {
		return ""
	}
	path, anchor, _ := strings.Cut(target, "#")
	file := from
	if path != "" {
		file = filepath.ToSlash(filepath.Join(filepath.Dir(from), path))
	}
	if strings.HasPrefix(path, "/") || !fs.ValidPath(file) {
		return "leaves the repository"
	}
	info, err := fs.Stat(files, file)
	if err != nil {
		return "there is no such file"
	}
	if anchor == "" || info.IsDir() || !strings.HasSuffix(file, ".md") {
		return ""
	}
	return heading(files, file, anchor)
}

// heading says so when a document has no heading of that name.
func heading(files fs.FS, file, anchor string) string {
	b, err := fs.ReadFile(files, file)
	if err != nil {
		return err.Error()
	}
	seen := map[string]int{}
	for line := range strings.Lines(string(b)) {
		title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if !ok || !strings.HasPrefix(line, "#") {
			continue
		}
		name := slug(title)
		if n := seen[name]; n > 0 {
			name = fmt.Sprintf("%s-%d", name, n)
		}
		seen[slug(title)]++
		if name == anchor {
			return ""
		}
	}
	return file + " has no such heading"
}

var dropped = regexp.MustCompile(`[^\pL\pN _-]`)

// slug is the anchor that Git forges give a heading.
func slug(title string) string {
	return strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), ""), " ", "-")
}
