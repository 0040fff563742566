// Package repo_test fuzzes what repository rules decode. They are written in Starlark and run by Bazel; here another implementation of the language
// runs the same files. Whatever the input, they end well or by a fail() of their own: never by an error of the language,
// which would tell a user where our code is and not what is wrong with theirs.
package repo_test

import (
	encodingjson "encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"go.starlark.net/lib/json"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
)

// failure is what a call of fail() ends the program with.
type failure string

func (f failure) Error() string { return string(f) }

// loader runs files of this repository by their labels, each once.
type loader map[string]starlark.StringDict

func (l loader) load(_ *starlark.Thread, label string) (starlark.StringDict, error) {
	if globals, ok := l[label]; ok {
		return globals, nil
	}
	file := filepath.Join("..", "..", filepath.FromSlash(strings.ReplaceAll(strings.TrimPrefix(label, "//"), ":", "/")))
	globals, err := starlark.ExecFileOptions(&syntax.FileOptions{}, l.thread(), file, nil, starlark.StringDict{
		"fail": starlark.NewBuiltin("fail", fail),
		"json": json.Module,
		"Label": starlark.NewBuiltin("Label", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			return args[0], nil
		}),
		"native":     structOf(starlark.StringDict{"bazel_version": starlark.String("7.7.0")}),
		"struct":     starlark.NewBuiltin("struct", starlarkstruct.Make),
		"visibility": starlark.NewBuiltin("visibility", nothing),
	})
	l[label] = globals
	return globals, err
}

func (l loader) thread() *starlark.Thread {
	thread := &starlark.Thread{Name: "repo", Load: l.load}
	thread.SetMaxExecutionSteps(50_000_000)
	return thread
}

// function loads a function of a file.
func (l loader) function(tb testing.TB, label, name string) starlark.Value {
	tb.Helper()
	globals, err := l.load(nil, label)
	if err != nil {
		tb.Fatal(err)
	}
	return globals[name]
}

// call calls a function. An error is the failure that it ended with; any other ends the test.
func (l loader) call(tb testing.TB, function starlark.Value, args starlark.Tuple, kwargs ...starlark.Tuple) (starlark.Value, error) {
	tb.Helper()
	result, err := starlark.Call(l.thread(), function, args, kwargs)
	if f := failure(""); err != nil && !errors.As(err, &f) {
		var in *starlark.EvalError
		if errors.As(err, &in) {
			tb.Fatal(in.Backtrace())
		}
		tb.Fatal(err)
	}
	return result, err
}

// variations are a JSON text with each of its values in turn left out, or replaced by one that it should not be.
func variations(tb testing.TB, text string) (all []string) {
	tb.Helper()
	var whole any
	if err := encodingjson.Unmarshal([]byte(text), &whole); err != nil {
		tb.Fatal(err)
	}
	add := func() {
		b, err := encodingjson.Marshal(whole)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, string(b))
	}
	odd := []any{nil, true, "", "x", "../../etc/passwd", "li\nnux\")", "é:\\", -1, 0.5, 1e300, []any{}, []any{1}, map[string]any{}, map[string]any{"digest": 1}}
	var walk func(value any, set func(any))
	walk = func(value any, set func(any)) {
		for _, o := range odd {
			set(o)
			add()
		}
		set(value)
		switch value := value.(type) {
		case []any:
			for i, v := range value {
				walk(v, func(v any) { value[i] = v })
			}
		case map[string]any:
			for k, v := range value {
				delete(value, k)
				add()
				walk(v, func(v any) { value[k] = v })
			}
		}
	}
	walk(whole, func(v any) { whole = v })
	return all
}

func fail(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	message, _ := starlark.AsString(args[0])
	return nil, failure(message)
}

func nothing(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
	return starlark.None, nil
}

func structOf(fields starlark.StringDict) *starlarkstruct.Struct {
	return starlarkstruct.FromStringDict(starlarkstruct.Default, fields)
}

func FuzzLockfile(f *testing.F) {
	entry := `{"version": "1.2.3", "integrity": "sha256-` + strings.Repeat("A", 43) + `=", "os": "windows", "cpu": "amd64", ` +
		`"url_templates": ["https://example.com/v{version}/img_{os}_{cpu}{extension}", "file:///mirror/img"]}`
	for _, seed := range []string{
		"", "null", "[]", "{}", "[" + entry + "]", "[" + entry + "," + entry + "]", "[" + strings.Replace(entry, "amd64", "arm64", 1) + "," + entry + "]",
		strings.Replace("["+entry+"]", `{"version"`, `{"tool": "registry", "version"`, 1), `[null, 1, 1e400, "\ud800", [[]], {"os": {}}]`,
		strings.Replace("["+entry+"]", `"windows"`, `["linux"]`, 1), strings.Replace("["+entry+"]", "{os}", "{os", 1), strings.Repeat("[", 10_000),
	} {
		f.Add(seed)
	}
	for _, seed := range variations(f, "["+entry+"]") {
		f.Add(seed)
	}
	files := loader{}
	parse := files.function(f, "//img/private/repo:lockfile.bzl", "parse_lockfile")
	urls := files.function(f, "//img/private/repo:lockfile.bzl", "urls_of")
	f.Fuzz(func(t *testing.T, text string) {
		result, err := files.call(t, parse, starlark.Tuple{starlark.String(text)})
		if err != nil {
			t.Fatalf("it fails, where it returns what is wrong: %v", err)
		}
		entries, problem := result.(starlark.Tuple)[0], result.(starlark.Tuple)[1]
		if entries == starlark.None {
			if s, ok := starlark.AsString(problem); !ok || s == "" {
				t.Fatalf("the problem is %v", problem)
			}
			return
		}
		for i := range entries.(*starlark.List).Len() {
			found, err := files.call(t, urls, starlark.Tuple{entries.(*starlark.List).Index(i)})
			if err != nil || found.(*starlark.List).Len() == 0 {
				t.Fatalf("an entry that is right has the URLs %v, %v", found, err)
			}
		}
	})
}

// FuzzImage reads an image as pull does from what a registry sent, and writes its repository.
func FuzzImage(f *testing.F) {
	const (
		child    = `{"digest": "sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd", "size": 3}` // the index itself, a hundred times
		layer    = `{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:1111111111111111111111111111111111111111111111111111111111111111", "size": 5}`
		manifest = `{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "size": 2}, "layers": [` + layer + `]}`
		config   = `{"os": "linux", "architecture": "arm64", "variant": "v8", "os.features": ["x"], "rootfs": {"type": "layers", "diff_ids": ["sha256:2222222222222222222222222222222222222222222222222222222222222222"]}}`
		index    = `{"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "size": 3, "platform": {"os": "linux", "architecture": "amd64"}, "annotations": {"a": "b"}},
			{"digest": "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "size": 3, "platform": {"os": "unknown", "architecture": "unknown"}}]}`
	)
	f.Add(manifest, "", config)
	f.Add(index, manifest, config)
	f.Add(`{"manifests": [`+strings.Repeat(child+",", 99)+child+`]}`, manifest, config)
	f.Add(`{"schemaVersion": 1}`, "", "")
	f.Add(`{"config": {"mediaType": "application/vnd.cncf.helm.config.v1+json"}}`, "", "{}")
	f.Add(manifest, "", "no JSON")
	f.Add("no JSON", "", "")
	for _, index := range variations(f, index) {
		f.Add(index, manifest, config)
	}
	for _, manifest := range variations(f, manifest) {
		f.Add(manifest, "", config)
		f.Add(index, manifest, config)
	}
	for _, config := range variations(f, config) {
		f.Add(manifest, "", config)
	}

	files := loader{}
	read := files.function(f, "//img/private/repo:image.bzl", "read_image")
	write := files.function(f, "//img/private/repo:image.bzl", "write_image")
	layers := files.function(f, "//img/private/repo:image.bzl", "layers_of")
	f.Fuzz(func(t *testing.T, root, manifest, config string) {
		written := map[string]string{}
		ctx := structOf(starlark.StringDict{
			"path": starlark.NewBuiltin("path", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
				return structOf(starlark.StringDict{"exists": starlark.True}), nil
			}),
			"read": starlark.NewBuiltin("read", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
				path, _ := starlark.AsString(args[0])
				switch strings.TrimPrefix(path, "blobs/sha256/")[0] {
				case 'd':
					return starlark.String(root), nil
				case 'c':
					return starlark.String(config), nil
				}
				return starlark.String(manifest), nil
			}),
			"file": starlark.NewBuiltin("file", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
				path, _ := starlark.AsString(args[0])
				written[path], _ = starlark.AsString(args[1])
				return starlark.None, nil
			}),
		})
		origin := structOf(starlark.StringDict{
			"ctx": ctx, "name": starlark.String("@app"), "repository": starlark.String("team/app"), "downloader": starlark.String("img_tool"),
		})
		image, err := files.call(t, read, starlark.Tuple{origin, starlark.String("sha256:" + strings.Repeat("d", 64))})
		if err != nil {
			if !strings.HasPrefix(err.Error(), "@app: ") {
				t.Fatalf("who asked is not named: %v", err)
			}
			return
		}
		if _, err := files.call(t, layers, starlark.Tuple{image}); err != nil {
			t.Fatal(err)
		}
		pulled := structOf(starlark.StringDict{
			"registries": starlark.NewList([]starlark.Value{starlark.String("registry.example.com")}), "repository": starlark.String("team/app"), "tag": starlark.String("v1"),
		})
		_, err = files.call(t, write, starlark.Tuple{ctx}, keyword("name", starlark.String("app")), keyword("image", image), keyword("pulled", pulled),
			keyword("blobs", starlark.NewDict(0)), keyword("import_bzl", starlark.String("//img/private/rules:import.bzl")))
		if err != nil {
			t.Fatal(err)
		}
		for path, text := range written {
			if strings.HasSuffix(path, "BUILD.bazel") {
				checkBuildFile(t, path, text)
			}
		}
	})
}

func keyword(name string, value starlark.Value) starlark.Tuple {
	return starlark.Tuple{starlark.String(name), value}
}

// checkBuildFile fails unless a BUILD file holds calls of the rules that it should, with targets whose names Bazel takes, and nothing else.
func checkBuildFile(t *testing.T, path, text string) {
	t.Helper()
	file, err := new(syntax.FileOptions).Parse(path, text, 0)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	for _, stmt := range file.Stmts {
		if _, ok := stmt.(*syntax.LoadStmt); ok {
			continue
		}
		expr, _ := stmt.(*syntax.ExprStmt)
		call, _ := expr.X.(*syntax.CallExpr)
		name := fmt.Sprint(call.Fn.(*syntax.Ident).Name)
		switch name {
		case "package", "imported_manifest", "imported_index", "constraint_setting", "constraint_value", "package_metadata":
		default:
			t.Fatalf("%s calls %s:\n%s", path, name, text)
		}
		for _, arg := range call.Args {
			if arg, ok := arg.(*syntax.BinaryExpr); ok && arg.X.(*syntax.Ident).Name == "name" {
				if target, _ := arg.Y.(*syntax.Literal).Value.(string); target == "" || strings.ContainsAny(target, "\n\r\x00:\\") || strings.Trim(target, "/.") != target {
					t.Fatalf("%s has a target named %q", path, target)
				}
			}
		}
	}
}
