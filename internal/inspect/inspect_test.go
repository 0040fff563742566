package inspect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/inspect"
	"github.com/bazel-contrib/rules_img/internal/layer"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

func report(t testing.TB, s *store, root oci.Descriptor) *inspect.Report {
	t.Helper()
	r, err := (&inspect.Reader{Source: s}).Inspect(t.Context(), "app", root)
	must(t, err)
	return r
}

func plainBytes(n int64) string { return fmt.Sprintf("%d B", n) }

func text(t testing.TB, r *inspect.Report) string {
	t.Helper()
	var b strings.Builder
	must(t, inspect.Text{Bytes: plainBytes}.Report(&b, r))
	return b.String()
}

// stacked is an image in whose layers everything happens that can.
func stacked(t testing.TB, s *store) oci.Descriptor {
	return image(t, s, nil,
		gzipLayer(s, archive(t,
			"755 0 etc/", "644 0 etc/a=12345", "644 0 etc/gone=123", "644 0 etc/copy=12345", "644 0 opt/x/y=1234567", "777 0 lib->usr/lib",
			"644 0 keep=123456789", "644 0 other==keep")),
		gzipLayer(s, archive(t,
			"0 0 etc/.wh.gone", "600 7 etc/a=abcdef", "0 0 opt/.wh..wh..opq", "644 0 opt/new=n", "644 0 lib/z=zz", "0 0 .wh.keep")),
		gzipLayer(s, archive(t, "644 0 usr/lib/z=zzz", "644 0 etc/again=12345")))
}

func TestLaterLayersHideWhatIsBelow(t *testing.T) {
	s := &store{}
	r := report(t, s, stacked(t, s))
	// Of keep a hard link is left; lib/z is usr/lib/z.
	type hidden struct{ WhitedOut, Replaced int64 }
	var got []hidden
	for _, l := range r.Layers {
		got = append(got, hidden{l.WhitedOut, l.Replaced})
	}
	if d := cmp.Diff([]hidden{{3 + 7, 5}, {0, 2}, {}}, got); d != "" {
		t.Errorf("hidden (-want +got):\n%s", d)
	}
	if r.Unpacked-r.Visible != 17 {
		t.Errorf("%d of %d bytes are visible; want all but 17", r.Visible, r.Unpacked)
	}
}

func TestCopiesAreFoundWithinAndAcrossLayers(t *testing.T) {
	s := &store{}
	r := report(t, s, stacked(t, s))
	want := []inspect.Twice{{Digest: oci.DigestOf([]byte("12345")), Size: 5, Copies: []inspect.Copy{{Layer: 1, Path: "etc/a"}, {Layer: 1, Path: "etc/copy"}, {Layer: 3, Path: "etc/again"}}}}
	if d := cmp.Diff(want, r.Twice); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if r.Within != 5 || r.Across != 5 {
		t.Errorf("%d bytes within and %d across layers; want 5 and 5", r.Within, r.Across)
	}
}

func TestATreeIsShownWithSizes(t *testing.T) {
	s := &store{}
	got := text(t, report(t, s, stacked(t, s)))
	for _, want := range []string{
		"platform linux/amd64\n", `entry    ["/app"]`, "size     ", "in 3 layers, 46 B unpacked, of it 17 B hidden\n",
		"       9 B           keep\n", "       0 B           lib -> usr/lib\n", "       0 B           other = /keep\n", "      13 B      3    etc/\n",
		"       0 B             gone (removed)\n", "opt/ (what was in it is removed)\n",
		"\nstored twice: 10 B (5 B within layers, 5 B across)\n      10 B  3 x 5 B\n            layer 1 /etc/a\n",
		"\nhidden by later layers: 17 B\n      15 B  of layer 1: 10 B removed, 5 B replaced\n       2 B  of layer 2: 0 B removed, 2 B replaced\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in:\n%s", want, got)
		}
	}
	for line := range strings.Lines(got) {
		if len(line) > 81 {
			t.Errorf("%q has %d columns", line, len(line)-1)
		}
	}
}

func TestLayersWithAnIndexAreKnownByItAlone(t *testing.T) {
	noise := string(blobtest.Bytes("noise", 1<<20))
	for _, format := range []layer.Format{layer.Gzip, layer.Zstd} {
		s := &store{}
		lazy := lazyLayer(t, s, format, map[string]string{"dir/a": noise, "dir/b": "b", "empty": ""})
		l := report(t, s, image(t, s, nil, lazy)).Layers[0]
		if l.Read != inspect.ReadIndex || l.IndexError != "" || l.Unpacked != 1<<20+1 {
			t.Errorf("%s: read by %q (%s), %d bytes", format, l.Read, l.IndexError, l.Unpacked)
		}
		if moved := s.moved.Load(); moved > 20_000 {
			t.Errorf("%s: %d bytes were read of a layer of %d", format, moved, l.Size)
		}
		// What the index says is what is there.
		d := lazy.descriptor
		d.Annotations = nil
		whole := report(t, s, image(t, s, nil, made{d, lazy.diffID})).Layers[0]
		if whole.Read != inspect.ReadWhole {
			t.Fatalf("%s: read by %q", format, whole.Read)
		}
		files := whole.Files
		if format == layer.Gzip {
			files = files[:len(files)-1] // the index is a file of the archive
		}
		if d := cmp.Diff(files, l.Files); d != "" {
			t.Errorf("%s (-whole +index):\n%s", format, d)
		}
	}
}

func TestAnIndexThatIsOfNoUseIsSaidToBe(t *testing.T) {
	s := &store{}
	lazy := lazyLayer(t, s, layer.Gzip, map[string]string{"a": "b"})
	lazy.descriptor.Annotations["containerd.io/snapshot/stargz/toc.digest"] = string(oci.DigestOf(nil))
	r := report(t, s, image(t, s, nil, lazy))
	if l := r.Layers[0]; l.Read != inspect.ReadWhole || !strings.Contains(l.IndexError, "has the digest") || len(l.Files) != 4 {
		t.Errorf("read by %q, error %q, %d files", l.Read, l.IndexError, len(l.Files))
	}
}

func TestAnIndexIsListedByPlatform(t *testing.T) {
	s := &store{}
	shared := gzipLayer(s, archive(t, "644 0 shared=s"))
	root := index(t, s, map[string]oci.Descriptor{
		"linux/amd64": image(t, s, nil, shared), "linux/arm64": image(t, s, nil, shared, gzipLayer(s, archive(t, "644 0 b=b"))),
	})
	r := report(t, s, root)
	if len(r.Manifests) != 2 || r.Manifests[1].Platform != "linux/arm64/v8" || r.Total >= r.Size+r.Manifests[0].Total+r.Manifests[1].Total {
		t.Errorf("%d manifests, %d bytes in all: the shared layer counts once", len(r.Manifests), r.Total)
	}
	if got := text(t, r); !strings.Contains(got, "linux/arm64/v8: ") || !strings.Contains(got, " in 2 layers\n         sha256:") {
		t.Errorf("text is\n%s", got)
	}
}

func TestAnArtifactIsListedByItsBlobs(t *testing.T) {
	s := &store{}
	blob := s.Add("application/vnd.example.chart", []byte("chart"))
	blob.Annotations = map[string]string{"org.opencontainers.image.title": "chart\x1b[31m.tgz"}
	root := image(t, s, func(_ map[string]any, m *oci.Manifest) {
		m.ArtifactType, m.Config = "application/vnd.example", s.Add(oci.MediaTypeEmpty, []byte("{}"))
	}, made{blob, ""})
	got := text(t, report(t, s, root))
	for _, want := range []string{"artifact app\n", "type     application/vnd.example\n", "blob 1: 5 B (application/vnd.example.chart)\n", `title    chart\x1b[31m.tgz`} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in:\n%s", want, got)
		}
	}
}

func TestHostileLayersAreErrors(t *testing.T) {
	deep := strings.Repeat("d/", 1100)
	loops := archive(t, "777 0 a->b", "777 0 b->a", "644 0 a/x=1", "777 0 up->../../..", "644 0 up/etc/x=1", "644 0 ../../out=1")
	var climb []string
	for i := range 30 {
		climb = append(climb, fmt.Sprintf("777 0 l%d->%s%s", i+1, map[bool]string{true: ".", false: fmt.Sprintf("l%d", i)}[i == 0], strings.Repeat("/d", 100)), fmt.Sprintf("644 0 l%d/x=1", i+1))
	}
	for want, plain := range map[string][]byte{
		"is no tar archive":                        []byte(strings.Repeat("no tar ", 100)),
		"deeper than 1000":                         archive(t, "644 0 "+deep+"x=1"),
		"is, behind symlinks, deeper than 1000 di": archive(t, climb...),
		"": loops,
	} {
		s := &store{}
		r, err := (&inspect.Reader{Source: s}).Inspect(t.Context(), "app", image(t, s, nil, gzipLayer(s, plain)))
		if want == "" {
			if err != nil || r.Visible != 3 {
				t.Errorf("%v: want symlinks that lead nowhere and paths that leave the root to be taken as they are in a container", err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v; want %q", err, want)
		}
	}
}

func TestAWrongBlobIsAnError(t *testing.T) {
	s := &store{}
	l := gzipLayer(s, archive(t, "644 0 a=a"))
	l.descriptor.Digest = oci.DigestOf([]byte("other"))
	s.Add("", []byte("other"))
	_, err := (&inspect.Reader{Source: s}).Inspect(t.Context(), "app", image(t, s, nil, l))
	if err == nil || !strings.Contains(err.Error(), "layer "+string(l.descriptor.Digest)) {
		t.Errorf("error is %v", err)
	}
}
