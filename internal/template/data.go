package template

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Base makes the value of the key "base" and the environment of an image: its config, its manifest, and its digest. The keys of
// config and manifest are in lower case, but for those of labels and annotations, which are the user's.
func Base(config, manifest []byte, digest string) (value map[string]any, env []string, err error) {
	c, err := lowered(config)
	if err != nil {
		return nil, nil, fmt.Errorf("config: %w", err)
	}
	m, err := lowered(manifest)
	if err != nil {
		return nil, nil, fmt.Errorf("manifest: %w", err)
	}
	if run, ok := c["config"].(map[string]any); ok {
		if env, err = texts(run["env"]); err != nil {
			return nil, nil, fmt.Errorf("config: env: %w", err)
		}
	}
	return map[string]any{"config": c, "manifest": m, "digest": digest}, env, nil
}

func lowered(b []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return lower(v).(map[string]any), nil
}

func lower(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return lowerKeys(v)
	case []any:
		for i := range v {
			v[i] = lower(v[i])
		}
	}
	return v
}

// lowerKeys makes all keys lower case. Of those that differ in case alone, the one that is lower case already wins, or else the last.
func lowerKeys(v map[string]any) map[string]any {
	out := make(map[string]any, len(v))
	for _, key := range slices.Sorted(maps.Keys(v)) {
		low, value := strings.ToLower(key), v[key]
		if own, ok := v[low]; ok {
			value = own
		}
		if low != "labels" && low != "annotations" {
			value = lower(value)
		}
		out[low] = value
	}
	return out
}

// maxStatus bounds one line of a workspace status file.
const maxStatus = 1 << 20

// ReadStatus reads a workspace status file of Bazel, lines of "KEY value", into to.
func ReadStatus(r io.Reader, to map[string]any) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxStatus)
	n := 1
	for ; lines.Scan(); n++ {
		if key, value, _ := strings.Cut(lines.Text(), " "); key != "" {
			to[key] = value
		}
	}
	err := lines.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		err = fmt.Errorf("has more than %d bytes", maxStatus-1)
	}
	if err != nil {
		return fmt.Errorf("workspace status: line %d: %w", n, err)
	}
	return nil
}
