// Package requests_test keeps what the rules write for the tool: one golden request for each rule, as Bazel makes it, which the
// tool must be able to read.
package requests_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/request"
	"github.com/bazel-contrib/rules_img/tests/bazeltest"
)

// The rules, each by its mnemonic, a target that uses much of it, and how the tool reads its request.
var requests = []struct {
	name, mnemonic, target string
	read                   func([]byte) error
}{
	{"layer", "ImgLayer", "//tests/layer:everything", func(b []byte) error {
		_, err := request.ReadLayer(bytes.NewReader(b), ignore[request.LayerRecord])
		return err
	}},
	{"layer_from_tar", "ImgLayerFromTar", "//tests/layer_from_tar:everything", func(b []byte) error {
		_, err := request.ReadLayerFromTar(bytes.NewReader(b), ignore[request.FileRecord])
		return err
	}},
	{"manifest", "ImgManifest", "//tests/manifest:everything", func(b []byte) error {
		_, err := request.ReadManifest(bytes.NewReader(b), ignore[request.FileRecord])
		return err
	}},
	{"index", "ImgIndex", "//tests/index:split", func(b []byte) error {
		_, err := request.ReadIndex(bytes.NewReader(b), ignore[request.FileRecord])
		return err
	}},
	{"from_oci_layout", "ImgFromOciLayout", "//tests/convert:index", func(b []byte) error {
		_, err := request.ReadFromOCILayout(bytes.NewReader(b), ignore[request.FromOCILayoutRecord])
		return err
	}},
	{"layout", "ImgLayout", "//tests/load:everything", func(b []byte) error {
		_, err := request.ReadLayout(bytes.NewReader(b), ignore[request.LayoutRecord])
		return err
	}},
	{"blob", "ImgBlob", "//tests/blob:lazy", func(b []byte) error {
		_, err := request.ReadBlob(bytes.NewReader(b), ignore[request.FileRecord])
		return err
	}},
	{"plan", "ImgPlan", "//tests/push:everything", readPlan},
	{"plan_lazy", "ImgPlan", "//tests/push:lazy", readPlan},
	{"plan_of_plans", "ImgPlan", "//tests/multi_deploy:deploy", readPlan},
}

func readPlan(b []byte) error {
	_, err := request.ReadPlan(bytes.NewReader(b), ignore[request.PlanRecord])
	return err
}

func ignore[R any](R) error { return nil }

func TestRequestsAreAsReviewed(t *testing.T) {
	made := query(t)
	for _, r := range requests {
		t.Run(r.name, func(t *testing.T) {
			got, ok := made[r.target+" "+r.mnemonic]
			if !ok {
				t.Fatalf("%s has no action %s", r.target, r.mnemonic)
			}
			bazeltest.Golden(t, r.name+".jsonl", got)
			if err := r.read([]byte(got)); err != nil {
				t.Errorf("the tool does not read it: %v", err)
			}
		})
	}
}

// query asks Bazel for the requests of all targets: by target and mnemonic, the lines of the parameter file.
func query(t *testing.T) map[string]string {
	t.Helper()
	var targets []string
	for _, r := range requests {
		targets = append(targets, r.target)
	}
	cmd := exec.Command(bazeltest.Find(t), "--max_idle_secs=600", "aquery", "--output=jsonproto", "--noshow_progress",
		"--ui_event_filters=-info", `mnemonic("Img.*", `+strings.Join(targets, " + ")+")")
	cmd.Dir = bazeltest.Root(t)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, stderr.String())
	}
	var graph struct {
		Targets []struct {
			ID    int
			Label string
		}
		Actions []struct {
			TargetID  int
			Mnemonic  string
			Arguments []string
		}
	}
	if err := json.Unmarshal(out, &graph); err != nil {
		t.Fatal(err)
	}
	labels := map[int]string{}
	for _, target := range graph.Targets {
		labels[target.ID] = target.Label
	}
	made := map[string]string{}
	for _, a := range graph.Actions {
		// The first arguments are the tool and the verb; a parameter file is shown as its lines.
		lines := strings.Join(a.Arguments[2:], "\n") + "\n"
		made[labels[a.TargetID]+" "+a.Mnemonic] = anyConfiguration().ReplaceAllString(lines, "bazel-out/CONFIG/bin")
	}
	return made
}

func anyConfiguration() *regexp.Regexp { return regexp.MustCompile(`bazel-out/[^/"]+/bin`) }
