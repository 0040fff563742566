package faults_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
	"github.com/bazel-contrib/rules_img/tests/memory"
)

// bombed runs a command, which may take so many MiB of memory, and returns what it says.
func bombed(t *testing.T, c *exec.Cmd, most int64) (text string, failed bool) {
	t.Helper()
	var out bytes.Buffer
	c.Stdout = &out
	peak, err := memory.Peak(c)
	t.Logf("%s: %d MiB, %v of CPU", c.Args[1], peak>>20, c.ProcessState.UserTime())
	if peak>>20 > most {
		t.Errorf("%s takes %d MiB of memory: want at most %d", c.Args[1], peak>>20, most)
	}
	return said(c) + out.String(), err != nil
}

func wantRefused(t *testing.T, c *exec.Cmd, most int64, want string) {
	t.Helper()
	if text, failed := bombed(t, c, most); !failed || !strings.Contains(text, want) || len(text) > 40_000 {
		t.Errorf("img %s says (failed: %v): %.2000s\nwant: %s", strings.Join(c.Args[1:], " "), failed, text, want)
	}
}

// endless serves a manifest of a size, 0 for one that never ends.
func endless(t *testing.T, size int) (host string) {
	t.Helper()
	piece := bytes.Repeat([]byte(" "), 1<<20)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", oci.MediaTypeManifest)
		if size > 0 {
			w.Header().Set("Content-Length", fmt.Sprint(size))
		}
		for n := 0; size == 0 || n < size; n += len(piece) {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestManifestsThatAreTooLarge(t *testing.T) {
	const want = "has more than the 16777216 bytes that a manifest may have"
	for name, size := range map[string]int{"100 MiB": 100 << 20, "without end": 0} {
		host := endless(t, size)
		t.Run(name, func(t *testing.T) {
			wantRefused(t, img("pull", "--registry", host, "--repository", "app", "--tag", "latest", "--out", t.TempDir()), 100, want)
			wantRefused(t, img("inspect", host+"/app:latest"), 100, want)
			wantRefused(t, img("validate", host+"/app:latest"), 100, want)
		})
	}
	t.Run("in a layout", func(t *testing.T) {
		layout := t.TempDir()
		writeLayout(t, layout, oci.Describe(oci.MediaTypeManifest, bytes.Repeat([]byte(" "), 100<<20)))
		const want = "has 104857600 bytes, more than the 16777216 that a manifest or config may have"
		wantRefused(t, img("inspect", layout), 50, want)
		wantRefused(t, img("validate", layout), 50, want)
		wantRefused(t, fromLayout(t, layout), 50, want)
		bazeltest.Must(t, os.Truncate(filepath.Join(layout, "index.json"), 100<<20))
		wantRefused(t, img("inspect", layout), 100, "index.json: has more than 16777216 bytes")
		wantRefused(t, fromLayout(t, layout), 100, "index.json: has more than 16777216 bytes")
	})
	t.Run("for the registry", func(t *testing.T) {
		host := serve(t, t.TempDir())
		for _, known := range []bool{true, false} {
			var body io.Reader = io.LimitReader(spaces{}, 100<<20)
			request, err := http.NewRequest(http.MethodPut, "http://"+host+"/v2/app/manifests/latest", body)
			bazeltest.Must(t, err)
			if known {
				request.ContentLength = 100 << 20
			}
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				continue // it was cut while it was sent
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("it is answered with %s", answer.Status)
			}
		}
	})
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// writeLayout makes a layout whose index.json names a manifest.
func writeLayout(t *testing.T, path string, d oci.Descriptor) {
	t.Helper()
	d.Platform = &linux
	index, err := json.Marshal(oci.Index{Versioned: oci.Versioned{SchemaVersion: 2}, Manifests: []oci.Descriptor{d}})
	bazeltest.Must(t, err)
	bazeltest.Must(t, os.WriteFile(filepath.Join(path, "index.json"), index, 0o644))
	bazeltest.Must(t, os.WriteFile(filepath.Join(path, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644))
	if body := filepath.Join(path, "blobs", "sha256", d.Digest.Encoded()); !exists(body) {
		bazeltest.Must(t, os.MkdirAll(filepath.Dir(body), 0o755))
		bazeltest.Must(t, os.WriteFile(body, nil, 0o644))
		bazeltest.Must(t, os.Truncate(body, d.Size))
	}
}

func fromLayout(t *testing.T, layout string) *exec.Cmd {
	t.Helper()
	out := t.TempDir()
	return img("from-oci-layout", requestFile(t, out,
		`{"kind":"from-oci-layout","version":1,"name":"//:image","platforms":["linux/amd64"],"layer_types":["application/vnd.oci.image.layer.v1.tar+gzip"]}`,
		record("layout", layout), record("manifest", out+"/manifest"), record("config", out+"/config"), record("descriptor", out+"/descriptor"),
		record("layer", out+"/layer"), record("metadata", out+"/metadata"), record("digest", out+"/digest")))
}

// put adds a blob to a layout.
func put(t *testing.T, layout, mediaType string, body []byte) oci.Descriptor {
	t.Helper()
	d := oci.Describe(mediaType, body)
	bazeltest.Must(t, dir.Store{Root: layout, Volatile: true}.Put(t.Context(), d, blobtest.Content(body)))
	return d
}

func TestManifestsOfManyLayers(t *testing.T) {
	layout := t.TempDir()
	m := oci.Manifest{Versioned: oci.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeManifest, Config: put(t, layout, oci.MediaTypeConfig, []byte(`{"os":"linux","architecture":"amd64"}`))}
	for i := range 100_000 {
		m.Layers = append(m.Layers, oci.Descriptor{MediaType: oci.MediaTypeLayerGzip, Digest: oci.DigestOf(fmt.Append(nil, i)), Size: 1})
	}
	body, err := json.Marshal(m)
	bazeltest.Must(t, err)
	writeLayout(t, layout, put(t, layout, oci.MediaTypeManifest, body))
	wantRefused(t, fromLayout(t, layout), 400, "100000")
	wantRefused(t, img("inspect", layout), 400, "not found")
	wantRefused(t, img("validate", layout), 400, "more, which --json tells")

	m.Layers = m.Layers[:20_000] // more are a larger manifest than the registry takes
	body, err = json.Marshal(m)
	bazeltest.Must(t, err)
	host := serve(t, t.TempDir())
	upload(t, host, []byte(`{"os":"linux","architecture":"amd64"}`))
	request, err := http.NewRequest(http.MethodPut, "http://"+host+"/v2/app/manifests/latest", bytes.NewReader(body))
	bazeltest.Must(t, err)
	request.Header.Set("Content-Type", oci.MediaTypeManifest)
	answer, err := http.DefaultClient.Do(request)
	bazeltest.Must(t, err)
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusBadRequest || len(text) > 5000 || !strings.Contains(string(text), "and 19990 more") {
		t.Errorf("the registry answers %s: %.1000s", answer.Status, text)
	}
}

func upload(t *testing.T, host string, body []byte) {
	t.Helper()
	answer, err := http.Post("http://"+host+"/v2/app/blobs/uploads/?digest="+string(oci.DigestOf(body)), "application/octet-stream", bytes.NewReader(body))
	bazeltest.Must(t, err)
	answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		t.Fatalf("the upload is answered with %s", answer.Status)
	}
}

func TestJSONThatIsDeep(t *testing.T) {
	for _, depth := range []int{9_000, 10_001, 1_000_000} {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			layout, deep := t.TempDir(), strings.Repeat("[", depth)+strings.Repeat("]", depth)
			config := put(t, layout, oci.MediaTypeConfig, []byte(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]},"x":`+deep+`}`))
			m, err := json.Marshal(oci.Manifest{Versioned: oci.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeManifest, Config: config, Layers: []oci.Descriptor{}})
			bazeltest.Must(t, err)
			writeLayout(t, layout, put(t, layout, oci.MediaTypeManifest, m))
			for _, c := range []*exec.Cmd{img("inspect", layout), img("inspect", "--json", layout), img("validate", layout), img("diff", layout, layout)} {
				if text, failed := bombed(t, c, 100); failed != (depth > 10_000) || failed && !strings.Contains(text, "exceeded max depth") {
					t.Errorf("img %s says (failed: %v): %.1000s", strings.Join(c.Args[1:], " "), failed, text)
				}
			}
			document := filepath.Join(layout, "deep.json")
			bazeltest.Must(t, os.WriteFile(document, []byte(deep), 0o644))
			wantRefused(t, img("deploy", document), 100, "plan: ")
			wantRefused(t, img("layer", "@"+document), 100, "request line 1: ")
		})
	}
}

// planOf is a plan of one push to nowhere, which change may change.
func planOf(t *testing.T, change func(*deploy.Plan)) (path string) {
	t.Helper()
	d := oci.Describe(oci.MediaTypeManifest, []byte("{}"))
	p := deploy.Plan{Version: deploy.Version, Name: "//:app", Blobs: []deploy.Blob{{Descriptor: d, File: "file"}}, Operations: []deploy.Operation{{
		Kind: deploy.KindPush, Name: "//:app", Root: d, Registry: "127.0.0.1:1", Repository: "app", Tags: []string{"latest"}, Strategy: "eager",
	}}}
	change(&p)
	b, err := p.Encode()
	bazeltest.Must(t, err)
	path = filepath.Join(t.TempDir(), "plan.json")
	bazeltest.Must(t, os.WriteFile(path, b, 0o644))
	return path
}

func TestPlansThatAreBombs(t *testing.T) {
	deployed := func(path string) *exec.Cmd {
		c := img("deploy", path)
		c.Env = append(c.Env, "RUNFILES_DIR="+filepath.Dir(path))
		return c
	}
	t.Run("too large", func(t *testing.T) {
		path := planOf(t, func(*deploy.Plan) {})
		bazeltest.Must(t, os.Truncate(path, 1<<30))
		const want = "has more than the 67108864 bytes that a plan may have"
		wantRefused(t, deployed(path), 200, want)
		out := t.TempDir()
		wantRefused(t, img("plan", requestFile(t, out, `{"kind":"plan","version":1,"name":"//:all","workspace":""}`, record("merge", path), record("plan", out+"/plan"))), 200, want)
	})
	t.Run("of a string", func(t *testing.T) {
		wantRefused(t, deployed(planOf(t, func(p *deploy.Plan) { p.Operations[0].Repository = strings.Repeat("x", 50<<20) })), 500, "x... and 5")
		wantRefused(t, deployed(planOf(t, func(p *deploy.Plan) { p.Operations[0].Tags = []string{strings.Repeat("x", 50<<20)} })), 500, "x... and 5")
	})
	t.Run("of operations", func(t *testing.T) {
		wantRefused(t, deployed(planOf(t, func(p *deploy.Plan) {
			for i := range 100_000 {
				op := p.Operations[0]
				op.Repository = fmt.Sprint("NONE", i)
				p.Operations = append(p.Operations, op)
			}
			p.Operations = p.Operations[1:]
		})), 600, "and 99900 more")
	})
	t.Run("of tags", func(t *testing.T) {
		wantRefused(t, deployed(planOf(t, func(p *deploy.Plan) {
			for i := range 100_000 {
				p.Operations[0].Tags = append(p.Operations[0].Tags, fmt.Sprint("tag", i))
			}
		})), 200, "connection refused")
	})
	t.Run("of blobs", func(t *testing.T) {
		wantRefused(t, deployed(planOf(t, func(p *deploy.Plan) {
			for i := range 100_000 {
				p.Blobs = append(p.Blobs, deploy.Blob{Descriptor: oci.Descriptor{Digest: oci.DigestOf(fmt.Append(nil, i)), Size: 1}, File: fmt.Sprint("file", i)})
			}
		})), 200, "connection refused")
	})
	for numbers, want := range map[string][2]string{
		"a version that is no number": {`"version": 1`, `"version": 1e400`}, "half a version": {`"version": 1`, `"version": 1.5`},
		"a size that is too large": {`"size": 2`, `"size": 1e30`}, "a size below nothing": {`"size": 2`, `"size": -5`},
	} {
		t.Run(numbers, func(t *testing.T) {
			path := planOf(t, func(*deploy.Plan) {})
			b, err := os.ReadFile(path)
			bazeltest.Must(t, err)
			bazeltest.Must(t, os.WriteFile(path, bytes.Replace(b, []byte(want[0]), []byte(want[1]), 1), 0o644))
			_, number, _ := strings.Cut(want[1], ": ")
			wantRefused(t, deployed(path), 50, number)
		})
	}
}

func TestRequestsThatAreBombs(t *testing.T) {
	layer := func(t *testing.T, lines ...string) *exec.Cmd {
		t.Helper()
		out := t.TempDir()
		return img("layer", requestFile(t, out, append([]string{layerHeader, record("blob", out+"/blob"), record("metadata", out+"/metadata")}, lines...)...))
	}
	t.Run("a line", func(t *testing.T) {
		const want = "has more than the 16777215 bytes that a line may have"
		wantRefused(t, layer(t, fmt.Sprintf(`{"type":"symlink","path":"x","target":%q}`, strings.Repeat("x", 16<<20))), 150, "request line 4: "+want)
		path := filepath.Join(t.TempDir(), "request")
		bazeltest.Must(t, os.WriteFile(path, nil, 0o644))
		bazeltest.Must(t, os.Truncate(path, 1<<30))
		for _, verb := range []string{"layer", "layer-from-tar", "manifest", "index", "layout", "from-oci-layout", "plan"} {
			wantRefused(t, img(verb, "@"+path), 150, "request line 1: "+want)
		}
	})
	t.Run("records", func(t *testing.T) {
		lines := make([]string, 100_000)
		for i := range lines {
			lines[i] = fmt.Sprintf(`{"type":"symlink","path":"%d/%d","target":"x"}`, i%1000, i)
		}
		if text, failed := bombed(t, layer(t, lines...), 250); failed {
			t.Errorf("it says: %.1000s", text)
		}
	})
	for name, c := range map[string][3]string{
		"version": {`"version":1`, `"version":1e400`, "1e400"}, "jobs": {`"jobs":"2"`, `"jobs":"99999999999999999999"`, "99999999999999999999"}, "level": {`"level":"1"`, `"level":"-99999999999999999999"`, "-99999999999999999999"},
		"uid": {`"estargz":false`, `"estargz":false,"default_metadata":{"uid":1e30}`, "1e30"},
	} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			wantRefused(t, img("layer", requestFile(t, out, strings.Replace(layerHeader, c[0], c[1], 1), record("blob", out+"/blob"), record("metadata", out+"/metadata"))), 50, c[2])
		})
	}
}

// TestLayersThatAreBombs has layers that are a thousand times as large as they seem, or of many files.
func TestLayersThatAreBombs(t *testing.T) {
	for name, c := range map[string]struct {
		files int
		size  int64
		most  int64
	}{"one large file": {1, 192 << 20, 100}, "many files": {50_000, 0, 200}} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			source := filepath.Join(folder, "bomb.tgz")
			f, err := os.Create(source)
			bazeltest.Must(t, err)
			z := gzip.NewWriter(f)
			w := tar.NewWriter(z)
			for i := range c.files {
				bazeltest.Must(t, w.WriteHeader(&tar.Header{Name: fmt.Sprint("file", i), Mode: 0o644, Size: c.size}))
				_, err := io.CopyN(w, spaces{}, c.size)
				bazeltest.Must(t, err)
			}
			bazeltest.Must(t, errors.Join(w.Close(), z.Close(), f.Close()))
			body, err := os.ReadFile(source)
			bazeltest.Must(t, err)

			layout := t.TempDir()
			root := blobtest.Image(t, dir.Store{Root: layout, Volatile: true}, linux, body)
			writeLayout(t, layout, root)
			if text, failed := bombed(t, img("validate", layout), c.most); !failed || !strings.Contains(text, "diff ID") {
				t.Errorf("validate: %.1000s", text) // the config says that of the layer as it is compressed
			}
			if text, failed := bombed(t, img("inspect", layout), c.most); failed {
				t.Errorf("inspect: %.1000s", text)
			}
			for _, optimize := range []bool{false, true} {
				c2 := img("layer-from-tar", requestFile(t, folder,
					fmt.Sprintf(`{"kind":"layer-from-tar","version":1,"name":"//:layer","source":"gzip","compress":"zstd","level":"1","jobs":"2","estargz":false,"optimize":%v}`, optimize),
					record("source", source), record("blob", folder+"/blob"), record("metadata", folder+"/metadata")))
				if text, failed := bombed(t, c2, c.most); failed {
					t.Errorf("layer-from-tar: %.1000s", text)
				}
			}
		})
	}
}

// TestAnArchiveThatIsAManifoldBomb is as small as zstd can make half a gibibyte of zeros: four bytes for each 128 KiB. That is thirty times what gzip can do.
func TestAnArchiveThatIsAManifoldBomb(t *testing.T) {
	const blocks, blockSize, plain, repeated, last = 4096, 128 << 10, 0, 2, 1
	var header bytes.Buffer
	bazeltest.Must(t, tar.NewWriter(&header).WriteHeader(&tar.Header{Name: "zeros", Mode: 0o644, Size: blocks * blockSize}))
	bomb := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3} // a frame with a window of a block
	block := func(kind, size int, content []byte) {
		n := size<<3 | kind
		bomb = append(append(bomb, byte(n), byte(n>>8), byte(n>>16)), content...)
	}
	block(plain, header.Len(), header.Bytes())
	for range blocks {
		block(repeated, blockSize, []byte{0})
	}
	block(repeated|last, 1024, []byte{0})
	folder := t.TempDir()
	source := filepath.Join(folder, "bomb.tzst")
	bazeltest.Must(t, os.WriteFile(source, bomb, 0o644))
	c := img("layer-from-tar", requestFile(t, folder,
		`{"kind":"layer-from-tar","version":1,"name":"//:layer","source":"zstd","compress":"zstd","level":"1","jobs":"2","estargz":false,"optimize":false}`,
		record("source", source), record("blob", folder+"/blob"), record("metadata", folder+"/metadata")))
	if text, failed := bombed(t, c, 150); failed {
		t.Errorf("it says: %.1000s", text)
	}
}
