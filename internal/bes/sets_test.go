package bes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/bazel-contrib/rules_img/proto/bep"
)

func named(id, file string, below ...string) *bep.BuildEvent {
	s := &bep.NamedSetOfFiles{Files: []*bep.File{{Name: file}}}
	for _, b := range below {
		s.FileSets = append(s.FileSets, &bep.BuildEventId_NamedSetOfFilesId{Id: b})
	}
	return &bep.BuildEvent{
		Id:      &bep.BuildEventId{Id: &bep.BuildEventId_NamedSet{NamedSet: &bep.BuildEventId_NamedSetOfFilesId{Id: id}}},
		Payload: &bep.BuildEvent_NamedSetOfFiles{NamedSetOfFiles: s},
	}
}

func open(t testing.TB, path string) *sets {
	t.Helper()
	s, err := openSets(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close() })
	return s
}

func (s *sets) all(t testing.TB, id string, onlyPlans bool) (names []string) {
	t.Helper()
	ids := []*bep.BuildEventId_NamedSetOfFilesId{{Id: id}}
	if err := s.walk(ids, onlyPlans, func(f *bep.File) { names = append(names, f.GetName()) }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func TestSetsOutliveTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sets")
	s := open(t, path)
	events := []*bep.BuildEvent{named("0", "a.plan.json"), named("1", "b"), named("2", "c", "0", "1"), named("3", "d", "2", "1", "0")}
	for _, e := range append(events, events...) { // what is sent again is not kept again
		if err := s.add(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.sync(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) { // as if the process had died while it wrote the last set
		torn := filepath.Join(t.TempDir(), "torn.sets")
		if err := os.WriteFile(torn, whole[:len(whole)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, torn)
		for _, e := range events { // is what Bazel sends, at most
			if err := s.add(e); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.all(t, "3", false); !slices.Equal(got, []string{"a.plan.json", "b", "c", "d"}) {
			t.Fatalf("%d bytes less: %q", cut, got)
		}
		if got := s.all(t, "3", true); !slices.Equal(got, []string{"a.plan.json", "c", "d"}) {
			t.Fatalf("%d bytes less, sets that lead to plans: %q", cut, got)
		}
	}
}

func TestASetThatIsNotThereIsAnError(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.sets"))
	if err := s.add(named("1", "b", "0")); err != nil {
		t.Fatal(err)
	}
	err := s.walk([]*bep.BuildEventId_NamedSetOfFilesId{{Id: "1"}}, true, func(*bep.File) {})
	if !errors.Is(err, errLost) {
		t.Errorf("error is %v", err)
	}
}

// What is known of sets is in memory, however little they say.
func TestSetsAreBounded(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.sets"))
	if err := s.add(named(strings.Repeat("0", 100_000), "")); err == nil {
		t.Error("an ID of 100,000 bytes is taken")
	}
	s.size = maxSets - 2*leastSet
	for i, fits := range []bool{true, true, false} {
		if err := s.add(named(fmt.Sprint(i), "")); (err == nil) != fits {
			t.Errorf("set %d: %v", i, err)
		}
	}
}

func TestSetsThatCannotBeReadAreNotCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sets")
	if err := open(t, path).add(named("0", "a.plan.json")); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0) // as if the disk did not answer
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := (&sets{file: f, at: map[string]span{}}).load(); err == nil {
		t.Error("what can't be read is taken for nothing")
	}
	if after, err := os.ReadFile(path); err != nil || len(after) != len(before) {
		t.Errorf("%d of %d bytes are left, %v", len(after), len(before), err)
	}
}

// FuzzEvents takes bytes for the events of a build, in a stream and in a file of sets.
func FuzzEvents(f *testing.F) {
	for _, e := range []*bep.BuildEvent{named("0", "a.plan.json"), named("1", "b", "0", "1"), {
		Id: &bep.BuildEventId{Id: &bep.BuildEventId_TargetCompleted{TargetCompleted: &bep.BuildEventId_TargetCompletedId{Label: "//:t"}}},
		Payload: &bep.BuildEvent_Completed{Completed: &bep.TargetComplete{Success: true, OutputGroup: []*bep.OutputGroup{
			{Name: "default", FileSets: []*bep.BuildEventId_NamedSetOfFilesId{{Id: "1"}}},
			{Name: "deploy_manifest", InlineFiles: []*bep.File{{Name: "x", File: &bep.File_Contents{Contents: []byte("{}")}}}},
		}}},
	}} {
		b, err := proto.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, b)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, one, two []byte) {
		path := filepath.Join(dir, "x.sets")
		if err := os.WriteFile(path, one, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, path)
		if s.end > int64(len(one)) {
			t.Fatalf("%d bytes of %d are sets", s.end, len(one))
		}
		for _, b := range [][]byte{one, two} {
			e, err := decode(&anypb.Any{TypeUrl: "type.googleapis.com/build_event_stream.BuildEvent", Value: b})
			if err != nil {
				continue
			}
			if e.GetNamedSetOfFiles() != nil {
				if err := s.add(e); err != nil {
					t.Fatal(err)
				}
			}
			jobs, err := plansOf("build", e.GetId().GetTargetCompleted(), e.GetCompleted(), s)
			if err != nil && !errors.Is(err, errLost) {
				t.Fatal(err)
			}
			for _, j := range jobs {
				if len(j.id()) != 32 {
					t.Errorf("ID %q", j.id())
				}
			}
		}
	})
}
