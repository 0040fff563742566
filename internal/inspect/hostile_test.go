package inspect_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/bazel-contrib/rules_img/internal/inspect"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// TestAnImageControlsNoTerminal, whatever it has for names and texts.
func TestAnImageControlsNoTerminal(t *testing.T) {
	const bad = "x\x1b]0;title\x07\u009b2J\u202e\r"
	hostile := func(s *store, files ...string) oci.Descriptor {
		l := gzipLayer(s, archive(t, append(files, "644 0 "+bad+"="+bad, "777 0 link"+bad+"->"+bad)...))
		l.descriptor.Annotations = map[string]string{"org.opencontainers.image.title": bad}
		return image(t, s, func(config map[string]any, m *oci.Manifest) {
			config["author"], config["created"] = bad, bad
			config["history"] = []any{map[string]any{"created_by": bad, "comment": bad}}
			config["config"] = map[string]any{
				"User": bad, "WorkingDir": bad, "StopSignal": bad, "Env": []string{bad}, "Cmd": []string{bad}, "Entrypoint": []string{bad},
				"Labels": map[string]string{bad: bad}, "Volumes": map[string]any{bad: map[string]any{}}, "ExposedPorts": map[string]any{bad: map[string]any{}},
			}
			m.ArtifactType, m.Annotations = bad, map[string]string{bad: bad}
			m.Subject = &oci.Descriptor{MediaType: bad, Digest: bad, Size: 1}
		}, l)
	}
	s := &store{}
	a, b := hostile(s), hostile(s, "600 0 more"+bad+"=1")
	r := &inspect.Reader{Source: s}
	text := inspect.Text{Bytes: plainBytes}
	var out strings.Builder
	for _, root := range []oci.Descriptor{a, b} {
		report, err := r.Inspect(t.Context(), bad, root)
		must(t, err)
		must(t, text.Report(&out, report))
		must(t, text.Verdict(&out, verdict(t, s, root)))
	}
	d, err := inspect.Compare(t.Context(), r, r, bad, bad, a, b)
	must(t, err)
	must(t, text.Difference(&out, d))
	if !strings.Contains(out.String(), `\x1b]0;title`) {
		t.Errorf("nothing of it is shown:\n%s", out.String())
	}
	for line := range strings.Lines(out.String()) {
		if at := strings.IndexFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return !unicode.IsPrint(r) }); at >= 0 {
			t.Errorf("a control character is printed at %d: %q", at, line)
		}
	}
}
