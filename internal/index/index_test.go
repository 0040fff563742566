package index

import (
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

func TestBuildKeepsTheOrder(t *testing.T) {
	arm := oci.Describe(oci.MediaTypeManifest, []byte("arm"))
	amd := oci.Describe(oci.MediaTypeManifest, []byte("amd"))
	arm.Platform = &oci.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
	b, err := Build([]oci.Descriptor{arm, amd}, map[string]string{"a": "<b>"})
	if err != nil {
		t.Fatal(err)
	}
	children, err := oci.Children(oci.Describe(oci.MediaTypeIndex, b), b)
	if err != nil || len(children) != 2 || children[0].Digest != arm.Digest || children[0].Platform.Variant != "v8" {
		t.Errorf("children are %v, %v", children, err)
	}
	if !strings.Contains(string(b), `"a":"<b>"`) {
		t.Errorf("index escapes what JSON does not: %s", b)
	}
}

func TestBuildRefusesWhatIsNoManifest(t *testing.T) {
	if _, err := Build([]oci.Descriptor{oci.Describe(oci.MediaTypeConfig, nil)}, nil); err == nil {
		t.Error("a config was taken")
	}
}
