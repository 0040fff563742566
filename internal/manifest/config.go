package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

type rootFS struct {
	Type    string       `json:"type"`
	DiffIDs []oci.Digest `json:"diff_ids"`
}

// artifactConfig is the config of what is no image: the fragment as it is.
func (s Spec) artifactConfig() ([]byte, error) {
	switch {
	case s.Fragment != nil:
		return s.Fragment, nil
	case s.ConfigMediaType == oci.MediaTypeEmpty:
		return []byte("{}"), nil
	}
	return nil, fmt.Errorf("config_media_type: a config of the type %s must be given: set config_fragment to its file, or use %s", s.ConfigMediaType, oci.MediaTypeEmpty)
}

// imageConfig edits the base's config: the fragment, the platform, the layers and their history, and what a container runs.
func (s Spec) imageConfig(b base) ([]byte, error) {
	history, err := s.history(b)
	if err != nil {
		return nil, err
	}
	config, err := s.withFragment(b.config)
	if err != nil {
		return nil, err
	}
	run, err := field[document](config, "config")
	if err != nil {
		return nil, err
	}
	if run, err = s.run(run); err != nil {
		return nil, err
	}
	diffIDs := append([]oci.Digest{}, b.diffIDs...)
	for _, l := range s.Layers {
		diffIDs = append(diffIDs, l.DiffID)
	}
	return config.
		with("os", s.Platform.OS).
		with("architecture", s.Platform.Architecture).
		withOrWithout("variant", s.Platform.Variant, s.Platform.Variant != "").
		withAny("created", s.Created).
		withOrWithout("config", run, len(run) > 0).
		withOrWithout("history", history, len(history) > 0).
		with("rootfs", rootFS{"layers", diffIDs}).
		encode(), nil
}

// withFragment merges the user's fragment over a config. What depends on the layers is not for it to say.
func (s Spec) withFragment(config document) (document, error) {
	if s.Fragment == nil {
		return config, nil
	}
	fragment, err := parseDocument(s.Fragment)
	if err != nil {
		return nil, fmt.Errorf("config_fragment: %w", err)
	}
	for _, name := range []string{"rootfs", "history"} {
		if _, ok := fragment[name]; ok {
			return nil, fmt.Errorf("config_fragment: sets %s, which follows from the layers: leave it out", name)
		}
	}
	return config.merge(fragment), nil
}

// history keeps the base's entries and adds one for each new layer. Layers of the base that have no entry get one that says
// nothing, so that entries and layers line up for every tool that shows them side by side.
func (s Spec) history(b base) ([]json.RawMessage, error) {
	entries, err := field[[]json.RawMessage](b.config, "history")
	if err != nil {
		return nil, err
	}
	known := 0
	for _, raw := range entries {
		var e struct {
			Empty bool `json:"empty_layer"`
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			return nil, fmt.Errorf("history: %w", err)
		}
		if !e.Empty {
			known++
		}
	}
	for ; known < len(b.layers); known++ {
		entries = append(entries, encodeValue(map[string]string{"comment": "layer of the base, which does not say how it was made"}))
	}
	for _, l := range s.Layers {
		entries = append(entries, encodeValue(document{}.withAny("created", s.Created).with("created_by", "rules_img "+l.Name)))
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
	if env, err = mergeEnv(env, s.Env); err != nil {
		return nil, err
	}
	labels = merged(labels, s.Labels)
	run = run.
		withOrWithout("Env", env, len(env) > 0).
		withOrWithout("Labels", labels, len(labels) > 0).
		withAny("User", s.User).
		withAny("WorkingDir", s.WorkingDir).
		withAny("StopSignal", s.StopSignal)
	return s.command(run), nil
}

func (s Spec) command(run document) document {
	if s.Entrypoint != nil {
		run = run.with("Entrypoint", s.Entrypoint).without("Cmd")
	}
	if s.Cmd != nil {
		run = run.with("Cmd", s.Cmd)
	}
	return run
}

// mergeEnv replaces variables where they stand and adds new ones at the end, by name.
func mergeEnv(base []string, set map[string]string) ([]string, error) {
	for name := range set {
		if name == "" || strings.Contains(name, "=") {
			return nil, fmt.Errorf("env: %q is not the name of a variable", name)
		}
	}
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
	return out, nil
}

// ParseCreated reads a file with one time.
func ParseCreated(b []byte) (string, error) {
	text := strings.TrimSpace(string(b))
	if text == "" {
		return "", errors.New("created: the file is empty: want a time such as 2024-01-31T12:00:00Z (RFC 3339)")
	}
	if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
		return "", fmt.Errorf("created: %q: want a time such as 2024-01-31T12:00:00Z (RFC 3339)", text)
	}
	return text, nil
}
