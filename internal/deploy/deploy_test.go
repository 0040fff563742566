package deploy

import (
	"fmt"
	"strings"
	"testing"
)

// TestPlansNameWhatTheBuildLeft and no other file of the machine.
func TestPlansNameWhatTheBuildLeft(t *testing.T) {
	for path, ok := range map[string]bool{
		"_main/app.json": true, "rules~/a/../b": true,
		"../etc/passwd": false, "/etc/passwd": false, "_main/../../x": false, "..": false,
	} {
		for _, field := range []string{"file", "output"} {
			plan := fmt.Sprintf(`{"version":%d,"blobs":[{"digest":"sha256:%s","size":1,%q:%q}]}`, Version, strings.Repeat("1", 64), field, path)
			if _, err := Parse([]byte(plan)); (err == nil) != ok || !ok && !strings.Contains(err.Error(), "leads out") {
				t.Errorf("%s %q: error is %v", field, path, err)
			}
		}
	}
	if _, err := Parse(fmt.Appendf(nil, `{"version":%d,"blobs":[{"digest":"sha256:../../x"}]}`, Version)); err == nil {
		t.Error("a digest that is none is taken")
	}
}

func TestAPlanThatNobodyWouldReadIsNotWritten(t *testing.T) {
	p := Plan{Version: Version, Name: "//:all", Operations: []Operation{{Repository: strings.Repeat("x", MaxSize)}}}
	if _, err := p.Encode(); err == nil || !strings.Contains(err.Error(), "plan of //:all: would have more than") {
		t.Errorf("error is %v", err)
	}
}
