// Package template expands the Go templates (text/template) that registries, repositories, tags, env, labels and annotations may
// be. Its entry point is [Data.Expand].
//
// The law: nothing is ever replaced by nothing in silence. A key that is not there is an error that names the keys there are,
// but in the condition of an {{if}} or a {{with}}, where it is false.
package template

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/template"
)

// Data is what templates can use. The zero value has nothing.
type Data struct {
	// Values are the keys at the top: build settings, the workspace status, base.
	Values map[string]any
	// Env is a base's environment, KEY=VALUE, whose names are variables: {{$PATH}}.
	Env []string
	// Hint is added to the error for a key that is not there, to say why there may be so few.
	Hint string
}

// Has reports whether text is a template, so that one without is never parsed.
func Has(text string) bool { return strings.Contains(text, "{{") }

// Expand expands text. attribute says in errors where it stands.
func (d Data) Expand(attribute, text string) (string, error) {
	if !Has(text) {
		return text, nil
	}
	expanded, err := d.expand(text)
	if err != nil {
		return "", fmt.Errorf("%s: %q: %w", attribute, text, err)
	}
	return expanded, nil
}

// ExpandMap expands the values of m.
func (d Data) ExpandMap(attribute string, m map[string]string) (map[string]string, error) {
	var out map[string]string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		value, err := d.Expand(attribute+" "+key, m[key])
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = map[string]string{}
		}
		out[key] = value
	}
	return out, nil
}

func (d Data) expand(text string) (string, error) {
	t, err := template.New("").Funcs(functions()).Parse(d.variables() + text)
	if err != nil {
		return "", d.explain(err)
	}
	for _, defined := range t.Templates() {
		lookUpFields(defined.Root)
	}
	var b strings.Builder
	if err := t.Execute(&b, d.values()); err != nil {
		return "", d.explain(err)
	}
	if strings.Contains(b.String(), noValue) {
		return "", errors.New("a part of it has no value")
	}
	return b.String(), nil
}

// noValue is what text/template writes for nil.
const noValue = "<no value>"

func (d Data) values() map[string]any {
	if d.Values == nil {
		return map[string]any{}
	}
	return d.Values
}

// variables declares the base's environment. A name that is no identifier can't be one.
func (d Data) variables() string {
	var b strings.Builder
	for _, name := range d.names() {
		fmt.Fprintf(&b, "{{$%s := %q}}", name, d.env(name))
	}
	return b.String()
}

func (d Data) names() []string {
	var names []string
	for _, kv := range d.Env {
		if name, _, _ := strings.Cut(kv, "="); identifier().MatchString(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (d Data) env(name string) string {
	value, _ := findKV(d.Env, name)
	return value
}

var identifier = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`) })

// explain says what is wrong in the user's terms, without the words of text/template where there are better ones.
func (d Data) explain(err error) error {
	var missing *missingKeyError
	if errors.As(err, &missing) {
		if missing.top && missing.path[0] == "base" {
			return fmt.Errorf("%w; the image has no base", missing)
		}
		if d.Hint != "" && missing.top {
			return fmt.Errorf("%w; %s", missing, d.Hint)
		}
		return missing
	}
	text := err.Error()
	if _, name, ok := strings.Cut(text, `undefined variable "`); ok {
		name, _, _ = strings.Cut(name, `"`)
		return fmt.Errorf("there is no variable %s: the variables there are %s", name, list(d.names(), "$", "none, since there is no base with an environment"))
	}
	if _, name, ok := strings.Cut(text, `: function "`); ok {
		name, _, _ = strings.Cut(name, `"`)
		return fmt.Errorf("there is no function %s: a key has a dot before it, {{.%s}}", name, name)
	}
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return fmt.Errorf("is not a template that can be expanded: %s", text)
}

// missingKeyError is a key that is not there.
type missingKeyError struct {
	path []string // to the key, and it
	have []string // the keys in its place
	top  bool
}

func (e *missingKeyError) Error() string {
	return fmt.Sprintf("there is no key %s: the keys there are %s", strings.Join(e.path, "."), list(e.have, "", "none"))
}

func list(names []string, prefix, none string) string {
	if len(names) == 0 {
		return none
	}
	return prefix + strings.Join(names, ", "+prefix)
}
