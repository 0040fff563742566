package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
)

// document is a JSON object whose fields stay as they were written until one is replaced.
type document map[string]json.RawMessage

func parseDocument(b []byte) (document, error) {
	doc := document{}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, err
	}
	if doc == nil {
		return nil, errors.New("is null: want a JSON object")
	}
	return doc, nil
}

// field decodes one field; one that is absent or null is the zero value.
func field[T any](doc document, name string) (T, error) {
	var v T
	raw, ok := doc[name]
	if !ok {
		return v, nil
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

// with returns a copy of doc in which name is v.
func (doc document) with(name string, v any) document {
	out := maps.Clone(doc)
	if out == nil {
		out = document{}
	}
	out[name] = encodeValue(v)
	return out
}

// without returns a copy of doc that has no name.
func (doc document) without(name string) document {
	out := maps.Clone(doc)
	delete(out, name)
	return out
}

// withOrWithout sets name to v if keep is true, and removes it otherwise.
func (doc document) withOrWithout(name string, v any, keep bool) document {
	if keep {
		return doc.with(name, v)
	}
	return doc.without(name)
}

// withAny sets name to v unless v is empty.
func (doc document) withAny(name, v string) document {
	if v == "" {
		return doc
	}
	return doc.with(name, v)
}

// merge returns doc with patch applied as a JSON Merge Patch (RFC 7396): objects are merged, null removes, all else replaces.
func (doc document) merge(patch document) document {
	out := maps.Clone(doc)
	if out == nil {
		out = document{}
	}
	for name, raw := range patch {
		inner, err := parseDocument(raw)
		switch {
		case string(raw) == "null":
			delete(out, name)
		case err != nil: // no object
			out[name] = raw
		default:
			old, err := parseDocument(out[name])
			if err != nil {
				old = nil
			}
			out[name] = encodeValue(old.merge(inner))
		}
	}
	return out
}

// encode writes the document in its one form: compact, keys sorted, nothing escaped that JSON does not ask for.
func (doc document) encode() []byte {
	if doc == nil {
		return []byte("{}")
	}
	return encodeValue(doc)
}

// encodeValue writes the values that this package makes: documents, strings, lists and maps of them, descriptors. They
// always have a JSON form.
func encodeValue(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
