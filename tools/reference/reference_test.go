package main

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
)

func TestDecodeReadsWhatItKnowsAndSkipsTheRest(t *testing.T) {
	str := func(b []byte, number protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), s)
	}
	attr := str(nil, 1, "tag")
	attr = protowire.AppendVarint(protowire.AppendTag(attr, 3, protowire.VarintType), 4)
	attr = protowire.AppendVarint(protowire.AppendTag(attr, 4, protowire.VarintType), 1)
	attr = str(attr, 9, "unknown")
	r := str(str(nil, 1, "image_push"), 3, string(attr))
	var got module
	if err := decode(str(str(nil, 1, string(r)), 5, "Pushes \u00e2\u0080\u00a6"), reflect.ValueOf(&got).Elem()); err != nil {
		t.Fatal(err)
	}
	want := module{Doc: "Pushes …", Rules: []rule{{Name: "image_push", Attributes: []attribute{{Name: "tag", Type: 4, Mandatory: true}}}}}
	if !cmp.Equal(want, got, cmp.AllowUnexported(module{})) {
		t.Error(cmp.Diff(want, got))
	}
	if err := decode([]byte{0x0a, 0x05, 'x'}, reflect.ValueOf(&got).Elem()); err == nil {
		t.Error("a message that is cut short was decoded")
	}
}

func TestOnceEncodedLeavesWhatIsRightAlone(t *testing.T) {
	for _, s := range []string{"plain", "Übung", "a → b"} {
		if got := onceEncoded(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
}

func TestValuesOfAttributes(t *testing.T) {
	v := values{}
	v.read("//img/private/rules:push.bzl", false, `
    attrs = TAG_ATTRS | {
        "strategy": attr.string(
            default = "auto",
            values = ["auto", "eager"],
        ),
        "other": attr.string(
            doc = "x",
        ),
    },
`)
	v.read("//img/private:shared.bzl", true, `
LAYER_HANDLING = attr.string(
    values = ["shallow", "eager", "lazy"],
)
`)
	for _, row := range []struct {
		file, name string
		want       []string
	}{
		{"//img/private/rules:push.bzl", "strategy", []string{"auto", "eager"}},
		{"//img/private/rules:push.bzl", "other", nil},
		{"//img/private/rules:push.bzl", "layer_handling", []string{"shallow", "eager", "lazy"}},
		{"//img/private/rules:load.bzl", "strategy", nil},
	} {
		if got := v.of(row.file, row.name); !cmp.Equal(row.want, got) {
			t.Errorf("%s of %s: %v, want %v", row.name, row.file, got, row.want)
		}
	}
}
