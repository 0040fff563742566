package template

import (
	"fmt"
	"strings"
	"text/template"
)

func functions() template.FuncMap {
	return template.FuncMap{
		"lookup": lookup, "optional": optional,
		"getkv": getKV, "appendkv": appendKV, "prependkv": prependKV,
		"split": strings.Split, "join": join,
		"hasprefix": strings.HasPrefix, "hassuffix": strings.HasSuffix,
		"trimprefix": strings.TrimPrefix, "trimsuffix": strings.TrimSuffix,
	}
}

// getKV is the value of a key in a list of KEY=VALUE; empty when it has none.
func getKV(list any, key string) (string, error) {
	items, err := texts(list)
	if err != nil {
		return "", err
	}
	value, _ := findKV(items, key)
	return value, nil
}

// appendKV is the value of a key in a list of KEY=VALUE with more text behind it.
func appendKV(list any, key, text string) (string, error) {
	value, err := getKV(list, key)
	return value + text, err
}

// prependKV is the value of a key in a list of KEY=VALUE with more text before it.
func prependKV(list any, key, text string) (string, error) {
	value, err := getKV(list, key)
	return text + value, err
}

func join(list any, separator string) (string, error) {
	items, err := texts(list)
	return strings.Join(items, separator), err
}

// findKV takes the last of several, as a process does.
func findKV(list []string, key string) (value string, found bool) {
	for _, kv := range list {
		if k, v, ok := strings.Cut(kv, "="); ok && k == key {
			value, found = v, true
		}
	}
	return value, found
}

// texts takes lists as they come out of JSON and of split. Nothing is an empty list, as in a config without Env.
func texts(list any) ([]string, error) {
	switch l := list.(type) {
	case nil:
		return nil, nil
	case []string:
		return l, nil
	case []any:
		out := make([]string, len(l))
		for i, item := range l {
			text, ok := item.(string)
			if !ok {
				return nil, fmt.Errorf("want a list of strings, and item %d is %v", i+1, item)
			}
			out[i] = text
		}
		return out, nil
	}
	return nil, fmt.Errorf("want a list of strings, not %v", list)
}
