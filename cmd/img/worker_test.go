package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bazel-contrib/rules_img/internal/worker"
)

const layerRequest = `{"kind":"layer","version":1,"name":"//:a","compress":"gzip","level":"1","jobs":"auto","estargz":false,"create_parents":false,"tree_artifacts":"full"}
{"type":"blob","from":"bazel-out/a.tgz"}
{"type":"metadata","from":"bazel-out/a.json"}
{"type":"file","path":"a","from":"one"}
{"type":"file","path":"b","from":"two"}
{"type":"file","path":"tree","from":"tree"}
`

// execRoot is a directory as an action finds it.
func execRoot(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"one": "content", "two": "content", "tree/x/y": "content", "layer.request": layerRequest} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "bazel-out"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func outputsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range []string{"a.tgz", "a.json"} {
		b, err := os.ReadFile(filepath.Join(dir, "bazel-out", name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(b)
	}
	return all
}

func testProcess(stdin io.Reader, stdout io.Writer, args ...string) process {
	return process{Program: "img", Args: args, Stdin: stdin, Stdout: stdout, Stderr: io.Discard, Getenv: func(string) string { return "" }}
}

// TestAWorkerMakesWhatAProcessMakes sends the same request to a process, and twice to a worker: in its directory and in sandboxes,
// with digests and without.
func TestAWorkerMakesWhatAProcessMakes(t *testing.T) {
	dir := execRoot(t)
	t.Chdir(dir)
	if err := run(t.Context(), testProcess(nil, nil, "layer", "@layer.request")); err != nil {
		t.Fatal(err)
	}
	want := outputsOf(t, dir)

	digest := []byte(strings.Repeat("ab", 32))
	inputs := []worker.Input{{Path: "one", Digest: digest}, {Path: "two", Digest: digest}, {Path: "tree/x/y", Digest: digest}}
	here, sandboxed, relative := execRoot(t), execRoot(t), "sandbox"
	if err := os.Rename(execRoot(t), relative); err != nil {
		t.Fatal(err)
	}
	var in bytes.Buffer
	for i, r := range []worker.Request{{Dir: here}, {Dir: sandboxed, Inputs: inputs}, {Dir: relative, Inputs: inputs}} {
		r.ID, r.Arguments = i+1, strings.Split(strings.TrimSpace(layerRequest), "\n")
		if err := json.NewEncoder(&in).Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	p := testProcess(&in, &out, "layer", worker.Flag)
	p.Getenv = func(string) string { return "off" }
	if err := run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), `"exitCode":0`); n != 3 {
		t.Errorf("the answers are %s", out.String())
	}
	for _, d := range []string{here, sandboxed, relative} {
		if d := cmp.Diff(want, outputsOf(t, d)); d != "" {
			t.Errorf("outputs (-process +worker):\n%s", d)
		}
	}
}

func TestAWorkerSaysWhatWentWrong(t *testing.T) {
	in := `{"requestId":4,"arguments":["{\"kind\":\"index\",\"version\":1}"]}`
	var out strings.Builder
	p := testProcess(strings.NewReader(in), &out, "layer", worker.Flag)
	p.Getenv = func(string) string { return "off" }
	if err := run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	const want = `{"exitCode":1,"output":"img: layer : request line 1: is a request of kind \"index\": want \"layer\"\n","requestId":4}` + "\n"
	if out.String() != want {
		t.Errorf("the answer is %swant %s", out.String(), want)
	}
}

// TestWhoHasAFrameCache goes through those who call the tool.
func TestWhoHasAFrameCache(t *testing.T) {
	home := t.TempDir()
	for name, row := range map[string]struct {
		environment string
		want        string
	}{
		"an action":              {"", ""},
		"a person":               {"HOME=" + home, home + "/.cache/rules_img/frames"},
		"with a place of caches": {"HOME=/x XDG_CACHE_HOME=" + home, home + "/rules_img/frames"},
		"who wants none":         {"HOME=" + home + " IMG_FRAME_CACHE=off", ""},
		"who wants it there":     {"IMG_FRAME_CACHE=" + home + "/there", home + "/there"},
		"who may not write":      {"HOME=/dev/null", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := testProcess(nil, nil)
			p.Getenv = func(name string) string {
				for _, v := range strings.Fields(row.environment) {
					if value, ok := strings.CutPrefix(v, name+"="); ok {
						return value
					}
				}
				return ""
			}
			got := ""
			if c := p.frameCache(); c != nil {
				got = fmt.Sprint(c)
			}
			if got != row.want {
				t.Errorf("the cache is %q: want %q", got, row.want)
			}
		})
	}
}

// TestOnlyVerbsThatKnowSandboxesWork asks every verb: a verb that does not would read and write the files of another request.
func TestOnlyVerbsThatKnowSandboxesWork(t *testing.T) {
	works := map[string]bool{"layer": true, "layer-from-tar": true, "manifest": true, "index": true, "plan": true}
	for _, v := range verbs() {
		p := testProcess(strings.NewReader(""), io.Discard, v.name, worker.Flag)
		p.Getenv = func(string) string { return "off" }
		switch err := run(t.Context(), p); {
		case works[v.name] && err != nil:
			t.Errorf("%s: %v", v.name, err)
		case !works[v.name]:
			wantError(t, err, v.name+": cannot be a persistent worker")
		}
	}
}
