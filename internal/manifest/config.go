package manifest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

type rootFS struct {
	Type    string       `json:"type"`
	DiffIDs []oci.Digest `json:"diff_ids"`
}

// config edits the base's config: the platform, the layers and their history, and what a container runs.
func (s Spec) config(b base) ([]byte, error) {
	run, err := field[document](b.config, "config")
	if err != nil {
		return nil, err
	}
	if run, err = s.run(run); err != nil {
		return nil, err
	}
	history, err := s.history(b)
	if err != nil {
		return nil, err
	}
	diffIDs := append([]oci.Digest{}, b.diffIDs...)
	for _, l := range s.Layers {
		diffIDs = append(diffIDs, l.DiffID)
	}
	return b.config.
		with("os", s.Platform.OS).
		with("architecture", s.Platform.Architecture).
		withOrWithout("variant", s.Platform.Variant, s.Platform.Variant != "").
		withOrWithout("config", run, len(run) > 0).
		withOrWithout("history", history, len(history) > 0).
		with("rootfs", rootFS{"layers", diffIDs}).
		encode()
}

// history keeps the base's entries and adds one for each new layer. A base with layers and no history gets none, since
// entries that don't line up with the layers mislead every tool.
func (s Spec) history(b base) ([]json.RawMessage, error) {
	entries, err := field[[]json.RawMessage](b.config, "history")
	if err != nil || (len(entries) == 0 && len(b.layers) > 0) {
		return entries, err
	}
	for _, l := range s.Layers {
		entries = append(entries, encodeValue(map[string]string{"created_by": "rules_img " + l.Name}))
	}
	return entries, nil
}

// run edits the part of the config that says what a container runs.
func (s Spec) run(run document) (document, error) {
	env, err := field[[]string](run, "Env")
	if err != nil {
		return nil, err
	}
	labels, err := field[map[string]string](run, "Labels")
	if err != nil {
		return nil, err
	}
	env, labels = mergeEnv(env, s.Env), merged(labels, s.Labels)
	run = run.
		withOrWithout("Env", env, len(env) > 0).
		withOrWithout("Labels", labels, len(labels) > 0)
	for name, value := range map[string]string{"User": s.User, "WorkingDir": s.WorkingDir, "StopSignal": s.StopSignal} {
		if value != "" {
			run = run.with(name, value)
		}
	}
	return s.command(run), nil
}

func (s Spec) command(run document) document {
	if s.Entrypoint != nil {
		run = run.with("Entrypoint", s.Entrypoint).withOrWithout("Cmd", nil, false)
	}
	if s.Cmd != nil {
		run = run.with("Cmd", s.Cmd)
	}
	return run
}

// mergeEnv replaces variables where they stand and adds new ones at the end, by name.
func mergeEnv(base []string, set map[string]string) []string {
	out, left := slices.Clone(base), maps.Clone(set)
	for i, kv := range out {
		name, _, _ := strings.Cut(kv, "=")
		if v, ok := set[name]; ok {
			out[i] = name + "=" + v
			delete(left, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		out = append(out, name+"="+left[name])
	}
	return out
}
