package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The page that has every message, with its cause and its cure.
const troubleshooting = "docs/guides/troubleshooting.md"

// TestEveryMessageIsExplained compares the page with the sources: what fail() and hints say in Starlark, and what errors and hints say in Go. A row of the page
// covers the messages that have its pieces, between …, in this order. A message with less than three words of its own only says where an error came from.
func TestEveryMessageIsExplained(t *testing.T) {
	t.Chdir("../..")
	rows := explained(t)
	used := map[string]bool{}
	for place, message := range messages(t) {
		known := false
		for _, row := range rows {
			if covers(row, message) {
				known, used[row] = true, true
			}
		}
		if !known {
			t.Errorf("%s: %s does not explain %q", place, troubleshooting, message)
		}
	}
	for _, row := range rows {
		if !used[row] {
			t.Errorf("%s: nothing says %q any more", troubleshooting, row)
		}
	}
}

var firstCell = regexp.MustCompile("^\\| (`.*?`) \\|")

// explained are the messages of the page: the code in the first cells of its tables.
func explained(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(troubleshooting)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for line := range strings.Lines(string(b)) {
		if m := firstCell.FindStringSubmatch(line); m != nil {
			rows = append(rows, strings.Trim(m[1], "` "))
		}
	}
	return rows
}

func covers(row, message string) bool {
	for piece := range strings.SplitSeq(row, "…") {
		_, rest, ok := strings.Cut(message, strings.TrimSpace(piece))
		if !ok {
			return false
		}
		message = rest
	}
	return true
}

// messages are what the sources say to people, by file and line, with … for what is filled in.
func messages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, dir := range []string{"cmd", "internal", "img"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (strings.HasSuffix(d.Name(), "test") || d.Name() == "testdata"):
				return fs.SkipDir
			case filepath.Ext(path) == ".bzl":
				return inStarlark(path, found)
			case filepath.Ext(path) == ".go" && !strings.HasSuffix(path, "_test.go"):
				return inGo(path, found)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

var failing = regexp.MustCompile(`\b(?:fail\(|hint = )("(?:[^"\\]|\\.)*")`)

// inStarlark finds what fail() is given, and the first lines of constants that it, or select(), is given.
func inStarlark(path string, found map[string]string) error {
	b, err := os.ReadFile(path)
	for i, line := range strings.Split(string(b), "\n") {
		if m := failing.FindStringSubmatch(line); m != nil {
			keep(found, path, i+1, m[1])
		}
		name, text, ok := strings.Cut(line, ` = "`)
		if ok && strings.HasPrefix(name, "_") && (strings.Contains(string(b), "fail("+name) || strings.Contains(string(b), "no_match_error = "+name)) {
			keep(found, path, i+1, `"`+strings.Trim(text, `"`)+`"`)
		}
	}
	return err
}

func inGo(path string, found map[string]string) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, 0)
	if err != nil {
		return err
	}
	for _, decl := range file.Decls {
		hints := false
		if f, ok := decl.(*ast.FuncDecl); ok {
			hints = strings.HasSuffix(strings.ToLower(f.Name.Name), "hint")
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if ok && len(call.Args) > 0 && says(call.Fun, hints) {
				keep(found, path, set.Position(call.Pos()).Line, literals(call.Args[0]))
			}
			if r, ok := n.(*ast.ReturnStmt); ok && hints && len(r.Results) == 1 {
				keep(found, path, set.Position(r.Pos()).Line, literals(r.Results[0]))
			}
			return true
		})
	}
	return nil
}

// says reports whether a function makes a message.
func says(f ast.Expr, hints bool) bool {
	s, ok := f.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, _ := s.X.(*ast.Ident)
	name := s.Sel.Name
	return x != nil && (x.Name == "errors" && name == "New" || x.Name == "fmt" && (name == "Errorf" || hints && name == "Sprintf"))
}

// literals is a string that may be put together by +.
func literals(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Value
	case *ast.BinaryExpr:
		return strings.TrimSuffix(literals(e.X), `"`) + strings.TrimPrefix(literals(e.Y), `"`)
	}
	return ""
}

var (
	filled = regexp.MustCompile(`%[-+#]?[.0-9]*[dfqsvwx]\b|%[-+#]?[dfqsvwx]|\{\}|\{[a-z0-9]+\}`)
	word   = regexp.MustCompile(`[A-Za-z_]{2,}`)
)

func keep(found map[string]string, path string, line int, literal string) {
	text, err := strconv.Unquote(literal)
	if err != nil {
		return
	}
	text = filled.ReplaceAllString(strings.ReplaceAll(text, "%%", "%"), "…")
	if len(word.FindAllString(text, -1)) >= 3 {
		found[path+":"+strconv.Itoa(line)] = text
	}
}
