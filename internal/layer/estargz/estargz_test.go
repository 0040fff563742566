package estargz

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"testing"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containerd/stargz-snapshotter/estargz/zstdchunked"
	"github.com/google/go-cmp/cmp"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

func TestFooterLeadsToTheIndex(t *testing.T) {
	for _, at := range []int64{0, 1, 1 << 40} {
		b := append(bytes.Repeat([]byte("x"), 100), Footer(at)...)
		got, size, err := estargz.OpenFooter(io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))))
		if err != nil || got != at || size != int64(len(Footer(at))) {
			t.Errorf("the index is at %d, behind it are %d bytes, %v: want %d and %d", got, size, err, at, len(Footer(at)))
		}
	}
}

func TestChunkedLeadsToTheIndex(t *testing.T) {
	toc := []byte(`{"version":1,"entries":[]}`)
	b, annotations, err := Chunked(toc, 1000)
	if err != nil {
		t.Fatal(err)
	}
	z := new(zstdchunked.Decompressor)
	payload, at, size, err := z.ParseFooter(b[int64(len(b))-z.FooterSize():])
	if err != nil || payload != 1000 || at != 1008 {
		t.Fatalf("the payload has %d bytes, the index is at %d: %v", payload, at, err)
	}
	index := b[at-1000:][:size]
	_, digest, err := z.ParseTOC(bytes.NewReader(index))
	if err != nil || digest != oci.DigestOf(toc) {
		t.Errorf("the index is %s: %v", digest, err)
	}
	want := map[string]string{}
	for _, prefix := range []string{"io.github.containers", "io.containers"} {
		want[prefix+".zstd-chunked.manifest-checksum"] = string(oci.DigestOf(index))
		want[prefix+".zstd-chunked.manifest-position"] = fmt.Sprintf("1008:%d:%d:1", size, len(toc))
	}
	if d := cmp.Diff(want, annotations); d != "" {
		t.Errorf("annotations (-want +got):\n%s", d)
	}
}

func TestTheIndexIsJSON(t *testing.T) {
	for _, entries := range [][]Entry{nil, {{Type: "dir", Name: "a<b>/"}}, {{Type: "reg", Name: "a"}, {Type: "chunk", Name: "a", Chunk: Chunk{Offset: 7}}}} {
		toc := TOC{Before: []byte("before")}
		for _, e := range entries {
			if err := toc.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		b, ok := bytes.CutPrefix(toc.Bytes(), []byte("before"))
		var got struct {
			Version int
			Entries []Entry
		}
		if err := json.Unmarshal(b, &got); err != nil || !ok || got.Version != 1 {
			t.Errorf("%s: %v", b, err)
		}
		if d := cmp.Diff(entries, got.Entries); d != "" && len(entries) > 0 {
			t.Errorf("entries (-want +got):\n%s", d)
		}
	}
}
