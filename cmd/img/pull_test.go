package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bazel-contrib/rules_img/internal/blob/remote/remotetest"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// TestPullScripts runs the scripts in testdata/pull: the real binary against a real registry. Beside what TestDeployScripts has they have
//
//	digests NAME    set NAME, NAME_CONFIG, NAME_LAYER and NAME_HEX (of the layer) to the digests of an image with one layer
func TestPullScripts(t *testing.T) {
	olareg := remotetest.Olareg(t)
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/pull",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("RUNFILES_DIR", e.WorkDir)
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Values[imagesKey{}] = map[string]oci.Descriptor{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"registry": func(ts *testscript.TestScript, _ bool, args []string) { startRegistry(ts, olareg, args) },
			"image":    func(ts *testscript.TestScript, _ bool, args []string) { makeImage(t, ts, args) },
			"plan":     func(ts *testscript.TestScript, _ bool, args []string) { makePlan(ts, args) },
			"digests":  func(ts *testscript.TestScript, _ bool, args []string) { setDigests(ts, args[0]) },
		},
	})
}

func setDigests(ts *testscript.TestScript, name string) {
	root := images(ts)[name].Digest
	b, err := os.ReadFile(ts.MkAbs(filepath.Join("blobs", "sha256", root.Encoded())))
	ts.Check(err)
	var m oci.Manifest
	ts.Check(json.Unmarshal(b, &m))
	ts.Setenv(name, string(root))
	ts.Setenv(name+"_CONFIG", string(m.Config.Digest))
	ts.Setenv(name+"_LAYER", string(m.Layers[0].Digest))
	ts.Setenv(name+"_HEX", m.Layers[0].Digest.Encoded())
}
