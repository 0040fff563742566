package bes_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"testing"

	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/bazel-contrib/rules_img/proto/bep"
)

func TestWhatIsPushedOfATarget(t *testing.T) {
	sets := []*bep.BuildEvent{
		set("0", nil, file("a.plan.json")),
		set("1", []string{"0"}, file("a")),
		set("2", nil, file("other.json"), file("b")),
		set("3", []string{"2", "1"}),
	}
	target := completed("//:t", group("default", "1"))
	for name, c := range map[string]struct {
		event *bep.BuildEvent
		jobs  []string
	}{
		"a plan among its files":                    {target, []string{"//:t done"}},
		"a plan deep below":                         {completed("//:t", group("default", "3")), []string{"//:t done"}},
		"files that are no plans":                   {completed("//:t", group("default", "2")), nil},
		"whatever is in deploy_manifest":            {completed("//:t", group("deploy_manifest", "2")), []string{"//:t done", "//:t done"}},
		"another group":                             {completed("//:t", group("tarball", "1")), nil},
		"a plan in two groups":                      {completed("//:t", group("default", "1"), group("deploy_manifest", "0")), []string{"//:t done"}},
		"an inline file":                            {completed("//:t", &bep.OutputGroup{Name: "default", InlineFiles: []*bep.File{{Name: "x.plan.json", File: &bep.File_Contents{Contents: []byte("{}")}}}}), []string{"//:t done"}},
		"an incomplete group":                       {completed("//:t", &bep.OutputGroup{Name: "default", FileSets: ids("1"), Incomplete: true}), nil},
		"a target that failed":                      {changed(target, func(e *bep.BuildEvent) { e.GetCompleted().Success = false }), nil},
		"an aspect":                                 {changed(target, func(e *bep.BuildEvent) { e.GetId().GetTargetCompleted().Aspect = "//:a.bzl%a" }), nil},
		"a set that came before the server's state": {completed("//:t", group("default", "9")), []string{"//:t failed"}},
		"a set of another tool":                     {&bep.BuildEvent{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, false)
			s.whole("build", append(sets, c.event)...)
			want(t, s.jobs("build"), c.jobs...)
		})
	}
}

// TestARecordedBuild takes what Bazel 7.7 sent for `bazel build //few:all --output_groups=+deploy_manifest` in tests/e2e/bes/workspace: the file of
// --build_event_binary_file, without what proto/bep does not have.
func TestARecordedBuild(t *testing.T) {
	f, err := os.Open("testdata/few.bep")
	must(t, err)
	defer f.Close()
	var events []*bep.BuildEvent
	for r := bufio.NewReader(f); ; {
		e := new(bep.BuildEvent)
		if err := protodelim.UnmarshalFrom(r, e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	s := newScene(t, true)
	s.whole("build", events...)
	want(t, s.jobs("build"), "//few:deploy done", "//few:eager done", "//few:load done", "//few:one done", "//few:wrapped done")
}
