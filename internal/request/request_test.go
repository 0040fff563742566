package request

import (
	"strings"
	"testing"
)

func readLayer(s string) (Layer, []LayerRecord, error) {
	var records []LayerRecord
	h, err := ReadLayer(strings.NewReader(s), func(r LayerRecord) error {
		records = append(records, r)
		return nil
	})
	return h, records, err
}

func TestReadDecodesHeaderAndRecordsInOrder(t *testing.T) {
	h, records, err := readLayer(`{"kind":"layer","version":1,"name":"//a:b","compress":"gzip"}
{"type":"file","path":"/a","from":"x"}
{"type":"symlink","path":"/l","target":"a b\n"}
`)
	if err != nil {
		t.Fatal(err)
	}
	if h.Name != "//a:b" || h.Compress != "gzip" {
		t.Errorf("header is %+v", h)
	}
	if len(records) != 2 || records[0].From != "x" || records[1].Target != "a b\n" {
		t.Errorf("records are %+v", records)
	}
}

func TestReadRefusesWhatItDoesNotKnow(t *testing.T) {
	header := `{"kind":"layer","version":1,"name":"//a:b"}` + "\n"
	for name, row := range map[string]struct{ request, want string }{
		"an empty request":           {"", "empty"},
		"another kind":               {`{"kind":"index","version":1}`, `line 1: is a request of kind "index": want "layer"`},
		"another version":            {`{"kind":"layer","version":2,"new":1}`, "line 1: has version 2 and this img reads version 1"},
		"an unknown key of a header": {`{"kind":"layer","version":1,"colour":"red"}`, `line 1: json: unknown field "colour"`},
		"an unknown key of a record": {header + `{"type":"file","size":1}`, `line 2: json: unknown field "size"`},
		"a record cut short":         {header + `{"type":"file"`, "line 2: unexpected EOF"},
		"two values on a line":       {header + `{"type":"file"} {}`, "line 2: has more than one JSON value"},
		"an empty line":              {header + "\n" + `{"type":"file"}`, "line 2: EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := readLayer(row.request)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error is %v: want %q", err, row.want)
			}
		})
	}
}

func FuzzReadLayer(f *testing.F) {
	f.Add(`{"kind":"layer","version":1,"name":"//a:b","file_metadata":{"/a":{"mode":"0644"}}}` + "\n" + `{"type":"file","path":"/a","from":"x"}`)
	f.Add("{}")
	f.Add(strings.Repeat("[", 10000))
	f.Fuzz(func(t *testing.T, s string) {
		if h, _, err := readLayer(s); err == nil && (h.Kind != "layer" || h.Version != 1) {
			t.Errorf("accepted %+v", h.Header)
		}
	})
}

func FuzzReadPlan(f *testing.F) {
	f.Add(`{"kind":"plan","version":1,"name":"//a:b","operation":"push","repository":"r"}` + "\n" + `{"type":"root","from":"x"}`)
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ReadPlan(strings.NewReader(s), func(PlanRecord) error { return nil })
		if err == nil && h.Kind != "plan" {
			t.Errorf("accepted %+v", h.Header)
		}
	})
}

// FuzzPlainRecord compares the quick decoder with the one that knows all of JSON.
func FuzzPlainRecord(f *testing.F) {
	for _, line := range plainLines {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var quick, strictly LayerRecord
		if !quick.plain([]byte(line)) {
			return
		}
		if err := strict([]byte(line), &strictly); err != nil || quick != strictly {
			t.Errorf("%q is %+v, and should be %+v, %v", line, quick, strictly, err)
		}
	})
}

var plainLines = []string{
	`{"type":"file","under":"/opt","path":"a","into":true,"from":"bazel-out/x/a b"}`, `{"into":true}`, `{"target":"","path":"a","path":"b"}`,
}

func TestPlainLinesAreDecodedQuickly(t *testing.T) {
	for _, line := range plainLines {
		if !new(LayerRecord).plain([]byte(line)) {
			t.Errorf("%s is not", line)
		}
	}
	for _, line := range []string{
		``, `{`, `}`, `{}`, `{"type":"file"`, `{"type":"file",}`, `{"type":"file"}}`, `{"type":"file""path":"a"}`, `{"type":"a\"b"}`, `{"type": "a"}`, `{"into":false}`,
		`{"into":trueish}`, `{"size":"1"}`, `{"Type":"file"}`, `{"type":"é"}`, `{"type":null}`,
	} {
		if new(LayerRecord).plain([]byte(line)) {
			t.Errorf("%s is", line)
		}
	}
}
