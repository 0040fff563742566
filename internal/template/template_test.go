package template

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testData(t testing.TB) Data {
	t.Helper()
	base, env, err := Base(
		[]byte(`{"Architecture":"amd64","config":{"Env":["PATH=/bin","A=1","not-an-identifier=2"],"Labels":{"Org.Team":"x"},"Cmd":["sh","-c"]}}`),
		[]byte(`{"schemaVersion":2,"layers":[{"mediaType":"t"}]}`), "sha256:1")
	if err != nil {
		t.Fatal(err)
	}
	return Data{
		Values: map[string]any{"channel": "beta", "debug": false, "BUILD_USER": "zoë", "base": base},
		Env:    env,
		Hint:   "Bazel's --stamp is not set",
	}
}

func TestExpand(t *testing.T) {
	d := testData(t)
	for text, want := range map[string]string{
		"plain $PATH {not a template}":                                      "plain $PATH {not a template}",
		"{{.channel}}-{{.BUILD_USER}}":                                      "beta-zoë",
		"{{$.channel}}":                                                     "beta",
		"{{if .debug}}debug{{else}}release{{end}}":                          "release",
		"{{if .no_such_key}}yes{{else}}no{{end}}":                           "no",
		"{{if .base.config.nothing.at.all}}yes{{else}}no{{end}}":            "no",
		"{{if and .channel (not .missing)}}both{{end}}":                     "both",
		"{{if .missing}}{{.missing}}{{end}}":                                "",
		"{{with .missing}}{{.}}{{else}}none{{end}}":                         "none",
		"{{with .base.config}}{{.architecture}}{{end}}":                     "amd64",
		"{{if eq .channel `beta`}}b{{end}}":                                 "b",
		"{{$PATH}}:/opt":                                                    "/bin:/opt",
		"{{.base.digest}} {{.base.manifest.schemaversion}}":                 "sha256:1 2",
		"{{index .base.config.config.labels `Org.Team`}}":                   "x",
		"{{getkv .base.config.config.env `A`}}":                             "1",
		"{{appendkv .base.config.config.env `PATH` `:/opt`}}":               "/bin:/opt",
		"{{prependkv .base.config.config.env `PATH` `/opt:`}}":              "/opt:/bin",
		"{{join .base.config.config.cmd ` `}}":                              "sh -c",
		"{{join (split `a,b` `,`) `+`}}":                                    "a+b",
		"{{if hasprefix .channel `be`}}{{trimprefix .channel `be`}}{{end}}": "ta",
		"{{if hassuffix .channel `ta`}}{{trimsuffix .channel `ta`}}{{end}}": "be",
		"{{range .base.config.config.cmd}}[{{.}}]{{end}}":                   "[sh][-c]",
	} {
		if got, err := d.Expand("tag", text); err != nil || got != want {
			t.Errorf("%s is %q, %v: want %q", text, got, err, want)
		}
	}
}

func TestWhatIsNotThereIsAnErrorThatSaysWhatIs(t *testing.T) {
	d := testData(t)
	for text, want := range map[string]string{
		"v{{.STABLE_VERSION}}":         `tag: "v{{.STABLE_VERSION}}": there is no key STABLE_VERSION: the keys there are BUILD_USER, base, channel, debug; Bazel's --stamp is not set`,
		"{{.base.config.config.user}}": "there is no key base.config.config.user: the keys there are cmd, env, labels",
		"{{STABLE_VERSION}}":           "there is no function STABLE_VERSION: a key has a dot before it, {{.STABLE_VERSION}}",
		"{{$HOME}}":                    "there is no variable $HOME: the variables there are $A, $PATH",
		"{{.channel.x}}":               "has no keys",
		"{{":                           "is not a template",
		"{{nosuch .channel}}":          "there is no function nosuch: a key has a dot before it, {{.nosuch}}",
		"{{getkv .channel `A`}}":       "want a list of strings",
		"{{index .base.config.config.labels `y`}}": "has no value",
		"{{range .missing}}{{end}}":                "there is no key missing",
		"{{.base.config.config.labels.nothing}}":   "the keys there are Org.Team",
	} {
		got, err := d.Expand("tag", text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %q, %v: want the error %q", text, got, err, want)
		}
	}
}

func TestWithoutABaseItIsNotTheStampThatIsMissing(t *testing.T) {
	_, err := Data{Hint: "Bazel's --stamp is not set"}.Expand("tag", "{{.base.digest}}")
	if err == nil || !strings.HasSuffix(err.Error(), "there is no key base: the keys there are none; the image has no base") {
		t.Errorf("error is %v", err)
	}
}

// TestKeysThatDifferInCaseAloneHaveAnOrder repeats itself, since the order of a map is another each time.
func TestKeysThatDifferInCaseAloneHaveAnOrder(t *testing.T) {
	for config, want := range map[string]string{
		`{"key":"lower","KEY":"upper","Key":"title"}`: "lower",
		`{"KEY":"upper","Key":"title","kEY":"camel"}`: "camel",
		"{\"\u212aey\":\"kelvin\",\"key\":\"lower\"}": "lower",
	} {
		for range 20 {
			base, _, err := Base([]byte(config), []byte("{}"), "")
			if err != nil {
				t.Fatal(err)
			}
			if got := base["config"].(map[string]any)["key"]; got != want {
				t.Fatalf("%s: key is %v; want %s", config, got, want)
			}
		}
	}
}

func TestExpandMapNamesTheKey(t *testing.T) {
	got, err := Data{}.ExpandMap("env", map[string]string{"A": "1"})
	if d := cmp.Diff(map[string]string{"A": "1"}, got); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	if _, err := (Data{}).ExpandMap("env", map[string]string{"A": "{{.x}}"}); err == nil || !strings.HasPrefix(err.Error(), "env A: ") {
		t.Errorf("error is %v", err)
	}
}

func TestReadStatus(t *testing.T) {
	got := map[string]any{}
	if err := ReadStatus(strings.NewReader("BUILD_USER zoë e\nEMPTY\nSTABLE_X 1 = 2\n"), got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]any{"BUILD_USER": "zoë e", "EMPTY": "", "STABLE_X": "1 = 2"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func FuzzExpand(f *testing.F) {
	for _, text := range []string{"{{.channel}}", "{{if .x}}{{.y}}{{end}}", "{{$PATH}}", "{{(index .base.config `a`).b}}", "{{define `x`}}{{end}}{{template `x` .a}}"} {
		f.Add(text)
	}
	d := testData(f)
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "range") || strings.Contains(text, "template") || len(text) > 1000 {
			return // may take its time
		}
		if got, err := d.Expand("a", text); err == nil && !Has(text) && got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}

// FuzzBase takes what a base says of itself, and expands templates on it.
func FuzzBase(f *testing.F) {
	f.Add([]byte(`{"config":{"Env":["A=B"],"Labels":{"x.y":"z"}}}`), []byte(`{"annotations":{"A":"b"}}`), "KEY value\nB C D\n")
	f.Add([]byte(`null`), []byte(`{"a":{"A":1},"A":[{"B":2}]}`), "\n")
	f.Fuzz(func(t *testing.T, config, manifest []byte, status string) {
		values := map[string]any{}
		if err := ReadStatus(strings.NewReader(status), values); err != nil {
			return
		}
		base, env, err := Base(config, manifest, "sha256:x")
		if err != nil {
			return
		}
		values["base"] = base
		d := Data{Values: values, Env: env}
		for _, text := range []string{"{{.base.config.config.labels}}", "{{if .KEY}}{{.KEY}}{{end}}", "{{$A}}", "{{.base.manifest.a}}", "{{getkv .base.config.config.env `A`}}"} {
			d.Expand("a", text)
		}
	})
}
