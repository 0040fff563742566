package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bazel-contrib/rules_img/cmd/internal/wiring"
	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
	"github.com/bazel-contrib/rules_img/internal/layer"
	"github.com/bazel-contrib/rules_img/internal/layout"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// TestInspectScripts runs the scripts in testdata/inspect: the real binary, which looks into layouts, archives and a real registry. Beside what
// TestDeployScripts has they have
//
//	layout PATH[.tar] PLATFORM=DIR[,DIR]...   write a layout of images, each layer what is in a directory; eStargz if that is called lazy…
//	push PATH REFERENCE                       push what such a layout has
func TestInspectScripts(t *testing.T) {
	olareg := remotetest.Olareg(t)
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/inspect",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"registry": func(ts *testscript.TestScript, _ bool, args []string) { startRegistry(ts, olareg, args) },
			"layout":   func(ts *testscript.TestScript, _ bool, args []string) { makeLayout(t, ts, args[0], args[1:]) },
			"push":     func(ts *testscript.TestScript, _ bool, args []string) { pushLayout(ts, args[0], args[1]) },
		},
	})
}

func makeLayout(t *testing.T, ts *testscript.TestScript, path string, images []string) {
	s := &mem.Store{}
	var all []oci.Descriptor
	for _, spec := range images {
		platform, dirs, _ := strings.Cut(spec, "=")
		p, err := oci.ParsePlatform(platform)
		ts.Check(err)
		all = append(all, imageOf(ts, s, p, strings.Split(dirs, ",")))
	}
	root := all[0]
	if len(all) > 1 {
		root = blobtest.Index(t, s, all...)
	}
	im := layout.Image{Root: root, Names: []string{"docker.io/library/app:v1"}}
	var err error
	if strings.HasSuffix(path, ".tar") {
		var b bytes.Buffer
		_, err = layout.WriteArchive(context.Background(), &b, s, nil, im)
		ts.Check(os.WriteFile(ts.MkAbs(path), b.Bytes(), 0o644))
	} else {
		_, err = layout.WriteDirectory(context.Background(), ts.MkAbs(path), s, layout.Directory{Volatile: true}, im)
	}
	ts.Check(err)
}

// imageOf is blobtest.Image of real layers.
func imageOf(ts *testscript.TestScript, s *mem.Store, p oci.Platform, dirs []string) oci.Descriptor {
	m := oci.Manifest{Versioned: oci.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeManifest}
	var ids []oci.Digest
	for _, dir := range dirs {
		var b bytes.Buffer
		r, err := layer.Write(context.Background(), &b, entriesOf(ts, dir), layer.Options{Format: layer.Gzip, Level: 1, Estargz: strings.HasPrefix(dir, "lazy")})
		ts.Check(err)
		d := s.Add(r.MediaType, b.Bytes())
		d.Annotations = r.Annotations
		m.Layers, ids = append(m.Layers, d), append(ids, r.DiffID)
	}
	config, err := json.Marshal(map[string]any{
		"os": p.OS, "architecture": p.Architecture, "variant": p.Variant, "rootfs": map[string]any{"type": "layers", "diff_ids": ids},
		"config": map[string]any{"Entrypoint": []string{"/" + dirs[0]}},
	})
	ts.Check(err)
	m.Config = s.Add(oci.MediaTypeConfig, config)
	body, err := json.Marshal(m)
	ts.Check(err)
	d := s.Add(m.MediaType, body)
	d.Platform = &p
	return d
}

func entriesOf(ts *testscript.TestScript, dir string) []layer.Entry {
	var all []layer.Entry
	ts.Check(filepath.WalkDir(ts.MkAbs(dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(ts.MkAbs(dir), path)
		all = append(all, layer.Entry{Path: filepath.ToSlash(name), From: path, Size: info.Size(), Metadata: &layer.Metadata{Mode: 0o644}})
		return err
	}))
	all, err := layer.Arrange(context.Background(), all)
	ts.Check(err)
	return all
}

func pushLayout(ts *testscript.TestScript, path, name string) {
	l, err := layout.OpenAny(ts.MkAbs(path))
	ts.Check(err)
	defer l.Close()
	root, err := l.Root()
	ts.Check(err)
	ts.Check(push(l, root, name))
}

func push(from blob.Source, root oci.Descriptor, name string) error {
	ref, err := oci.ParseReference(name)
	if err != nil {
		return err
	}
	to, err := wiring.OpenRegistries(func(string) string { return "" }, 0).Sink(ref)
	if err != nil {
		return err
	}
	if _, err := blob.Copy(context.Background(), to, from, blob.CopyOptions{}, root); err != nil {
		return err
	}
	return to.Tag(context.Background(), root, ref.Tag)
}

// TestInspectMovesNoLayerThatHasAnIndex asks a registry that counts the bytes it sends of blobs.
func TestInspectMovesNoLayerThatHasAnIndex(t *testing.T) {
	var whole atomic.Int32
	s := &mem.Store{}
	dir := t.TempDir()
	noise := filepath.Join(dir, "noise")
	if err := os.WriteFile(noise, blobtest.Bytes("noise", 4<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	r, err := layer.Write(t.Context(), &b, []layer.Entry{{Path: "noise", From: noise, Size: 4 << 20}}, layer.Options{Format: layer.Gzip, Level: 1, Estargz: true})
	if err != nil {
		t.Fatal(err)
	}
	_, address := remotetest.NewProxy(t, remotetest.Olareg(t), func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, oci.DigestOf(b.Bytes()).String()) && r.Header.Get("Range") == "" {
			whole.Add(1)
		}
		return false
	})
	m := oci.Manifest{Versioned: oci.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeManifest}
	m.Layers = []oci.Descriptor{s.Add(r.MediaType, b.Bytes())}
	m.Layers[0].Annotations = r.Annotations
	m.Config = s.Add(oci.MediaTypeConfig, []byte(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["`+r.DiffID+`"]}}`))
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := push(s, s.Add(m.MediaType, body), address+"/lazy/app:v1"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(t.Context(), testProcess(nil, &out, "inspect", address+"/lazy/app:v1")); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "by the layer's index") || !strings.Contains(out.String(), "noise") || whole.Load() != 0 {
		t.Errorf("the layer was read whole %d times:\n%s", whole.Load(), out.String())
	}
}

func TestJSONOfAStrangerControlsNoTerminal(t *testing.T) {
	for _, v := range []any{"\u009b2J", json.RawMessage(strings.Repeat("[", 200) + "\"\u009b2J\"" + strings.Repeat("]", 200))} {
		var out strings.Builder
		if err := printJSON(&out, v); err != nil || !strings.Contains(out.String(), `"\u009b2J"`) {
			t.Errorf("it prints %q, %v", out.String(), err)
		}
	}
}
