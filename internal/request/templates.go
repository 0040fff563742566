package request

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Templates is embedded in the headers of the kinds whose texts may be templates.
type Templates struct {
	// Settings are the values of build settings, by the key that templates use: text, numbers, booleans and lists.
	Settings map[string]json.RawMessage `json:"settings,omitempty"`
	// Hint says why templates see no workspace status; empty when they do.
	Hint string `json:"hint,omitempty"`
}

// The types of the records that several kinds have.
const (
	// Status is a workspace status file.
	Status = "status"
	// Tags is a file of more tags, one a line, which may be templates.
	Tags = "tags"
	// ImageRoot is the manifest or index of an image.
	ImageRoot = "root"
)

// Values decodes the settings. Whole numbers are int64, so that they are written as they were.
func (t Templates) Values() (map[string]any, error) {
	values := map[string]any{}
	for key, raw := range t.Settings {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			return nil, fmt.Errorf("build_settings %s: %w", key, err)
		}
		if n, ok := v.(json.Number); ok {
			i, err := n.Int64()
			if err != nil {
				return nil, fmt.Errorf("build_settings %s: %w", key, err)
			}
			v = i
		}
		values[key] = v
	}
	return values, nil
}
