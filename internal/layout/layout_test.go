package layout_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/layout"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

var (
	amd64 = oci.Platform{OS: "linux", Architecture: "amd64"}
	arm64 = oci.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
)

func index(t *testing.T, to blob.Sink) oci.Descriptor {
	return blobtest.Index(t, to,
		blobtest.Image(t, to, arm64, []byte("base"), []byte("app for arm64")),
		blobtest.Image(t, to, amd64, []byte("base"), []byte("app for amd64")))
}

// files unpacks a tar and says in which order its files are.
func files(t *testing.T, b []byte) (order []string, bodies map[string][]byte) {
	t.Helper()
	bodies = map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return order, bodies
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if bodies[h.Name] != nil {
			t.Errorf("%s is there twice", h.Name)
		}
		order, bodies[h.Name] = append(order, h.Name), body
	}
}

func TestArchiveIsTheSameEachTime(t *testing.T) {
	source := &mem.Store{}
	im := layout.Image{Root: index(t, source), Names: []string{"docker.io/library/app:v1"}}
	var first []byte
	for range 10 {
		var w bytes.Buffer
		if _, err := layout.WriteArchive(t.Context(), &w, source, nil, im); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = w.Bytes()
		}
		if !bytes.Equal(first, w.Bytes()) {
			t.Fatal("two archives of one image differ")
		}
	}
	// A version of this program that writes other bytes makes everybody's archives anew: that must be wanted.
	const golden = "sha256:fbe6dd28317293d7531beb0a8887b3b4be4d53f93ab87df96a41d134093af695"
	if got := oci.DigestOf(first); got != golden {
		t.Errorf("the archive is %s; it was %s", got, golden)
	}
}

func TestArchiveIsALayoutAndADockerArchive(t *testing.T) {
	source := &mem.Store{}
	root := index(t, source)
	var w bytes.Buffer
	if _, err := layout.WriteArchive(t.Context(), &w, source, nil, layout.Image{Root: root, Names: []string{"docker.io/library/app:v1", "r.example:5000/app:v1"}}); err != nil {
		t.Fatal(err)
	}
	order, bodies := files(t, w.Bytes())
	if n := len(order); n != 8+3 { // 3 layers, 2 configs, 2 manifests, the index; index.json, manifest.json, oci-layout
		t.Errorf("has %d files: %v", n, order)
	}
	var list []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(bodies["manifest.json"], &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || len(list[0].Layers) != 2 || !slices.Equal(list[0].RepoTags, []string{"docker.io/library/app:v1", "r.example:5000/app:v1"}) {
		t.Errorf("manifest.json is %s; want one image with both names", bodies["manifest.json"])
	}
	for _, name := range append(list[0].Layers, list[0].Config) {
		if bodies[name] == nil {
			t.Errorf("manifest.json names %s, which is not there", name)
		}
	}
	if !bytes.Contains(bodies[list[0].Config], []byte("amd64")) {
		t.Errorf("the docker archive has not the image for amd64")
	}
}

func TestArchiveCanBeReadAgain(t *testing.T) {
	source := &mem.Store{}
	root := index(t, source)
	path := filepath.Join(t.TempDir(), "image.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := layout.WriteArchive(t.Context(), f, source, nil, layout.Image{Root: root, Names: []string{"one", "two"}}); err != nil {
		t.Fatal(err)
	}
	f.Close()
	wantImage(t, path, root)
}

func TestDirectoryCanBeReadAgain(t *testing.T) {
	for name, o := range map[string]layout.Directory{"copied": {}, "linked": {Link: true, Volatile: true}} {
		t.Run(name, func(t *testing.T) {
			source := dir.Store{Root: filepath.Join(t.TempDir(), "bazel-out", "made"), Volatile: true}
			root, path := index(t, source), t.TempDir()
			for range 2 { // the second time most is there
				report, err := layout.WriteDirectory(t.Context(), path, source, o, layout.Image{Root: root, Names: []string{"docker.io/library/app:v1"}})
				if err != nil {
					t.Fatal(err)
				}
				if o.Link && report.Moved.Blobs > 3 { // manifests are read and written
					t.Errorf("copied %d blobs; want layers and configs linked", report.Moved.Blobs)
				}
			}
			wantImage(t, path, root)
			var named oci.Index
			if body, err := os.ReadFile(filepath.Join(path, "index.json")); err != nil || json.Unmarshal(body, &named) != nil {
				t.Fatalf("index.json is %s, %v", body, err)
			}
			if d := named.Manifests[0]; d.Annotations[layout.RefName] != "docker.io/library/app:v1" || d.Digest != root.Digest {
				t.Errorf("the name is for %s, and %v", d.Digest, d.Annotations)
			}
		})
	}
}

func TestDirectoryMendsWhatWasLeftOut(t *testing.T) {
	source, path := &mem.Store{}, t.TempDir()
	root := index(t, source)
	noLayers := func(d oci.Descriptor) bool { return d.MediaType == oci.MediaTypeLayerGzip }
	if _, err := layout.WriteDirectory(t.Context(), path, source, layout.Directory{Leave: noLayers}, layout.Image{Root: root}); err != nil {
		t.Fatal(err)
	}
	if n := len(blobs(t, path)); n != 5 {
		t.Errorf("has %d blobs; want 2 configs, 2 manifests and the index", n)
	}
	if _, err := layout.WriteDirectory(t.Context(), path, source, layout.Directory{}, layout.Image{Root: root}); err != nil {
		t.Fatal(err)
	}
	wantImage(t, path, root)
}

func blobs(t *testing.T, path string) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(path, "blobs", "sha256"))
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func openLayout(t *testing.T, path string) *layout.Layout {
	t.Helper()
	l, err := layout.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// wantImage fails t unless the layout has root, all that is below it, and both platforms.
func wantImage(t *testing.T, path string, root oci.Descriptor) {
	t.Helper()
	l := openLayout(t, path)
	got, err := l.Root()
	if err != nil || got.Digest != root.Digest {
		t.Fatalf("root is %s, %v; want %s", got.Digest, err, root.Digest)
	}
	report, err := blob.Copy(t.Context(), &mem.Store{}, blob.Verify("layout", l), blob.CopyOptions{}, got)
	if err != nil || report.Moved.Blobs != 8 {
		t.Errorf("copied %d blobs out of it, %v; want 8", report.Moved.Blobs, err)
	}
	wantPlatforms(t, l, "linux/arm64/v8", "linux/amd64")
}

func wantPlatforms(t *testing.T, l *layout.Layout, want ...string) {
	t.Helper()
	manifests, err := l.Manifests(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range manifests {
		got = append(got, oci.FormatPlatform(*d.Platform))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("platforms (-want +got):\n%s", d)
	}
}

func TestArchiveOfAnArtifactIsNoDockerArchive(t *testing.T) {
	source := &mem.Store{}
	config := source.Add("application/vnd.example.config", []byte("{}"))
	body, _ := json.Marshal(oci.Manifest{Versioned: oci.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeManifest, Config: config, Layers: []oci.Descriptor{}})
	var w bytes.Buffer
	if _, err := layout.WriteArchive(t.Context(), &w, source, nil, layout.Image{Root: source.Add(oci.MediaTypeManifest, body)}); err != nil {
		t.Fatal(err)
	}
	if _, bodies := files(t, w.Bytes()); bodies["manifest.json"] != nil {
		t.Errorf("has a manifest.json: %s", bodies["manifest.json"])
	}
}

func TestArchiveStaysBrokenAfterABrokenBlob(t *testing.T) {
	a := layout.NewArchive(io.Discard)
	body := blobtest.Bytes("broken", 100_000)
	if err := a.Put(t.Context(), blobtest.Describe(body), blobtest.Content(body[:50_000])); err == nil {
		t.Fatal("took a blob that ends early")
	}
	if err := a.Put(t.Context(), blobtest.Describe(body), blobtest.Content(body)); err == nil {
		t.Error("took a blob after half a one")
	}
	if err := a.Close(); err == nil {
		t.Error("closed as if it were whole")
	}
}

// TestOpenReadsWhatOtherToolsWrite has the index.json of tools that leave out what ours writes.
func TestOpenReadsWhatOtherToolsWrite(t *testing.T) {
	write := func(t *testing.T, descriptors ...oci.Descriptor) (*layout.Layout, dir.Store) {
		s := dir.Store{Root: t.TempDir(), Volatile: true}
		body, _ := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": descriptors})
		if err := os.WriteFile(filepath.Join(s.Root, "index.json"), body, 0o644); err != nil {
			t.Fatal(err)
		}
		return openLayout(t, s.Root), s
	}
	source := &mem.Store{}
	a, b := blobtest.Image(t, source, amd64, []byte("a")), blobtest.Image(t, source, arm64, []byte("b"))
	fill := func(t *testing.T, s dir.Store, roots ...oci.Descriptor) {
		if _, err := blob.Copy(t.Context(), s, source, blob.CopyOptions{}, roots...); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("one image by two tags, without a platform", func(t *testing.T) { // umoci, skopeo
		one, two := a, a
		one.Platform, two.Platform = nil, nil
		one.Annotations = map[string]string{layout.RefName: "v1"}
		two.Annotations = map[string]string{layout.RefName: "latest"}
		l, s := write(t, one, two)
		fill(t, s, a)
		if root, err := l.Root(); err != nil || root.Digest != a.Digest || root.Annotations != nil {
			t.Errorf("root is %v, %v", root, err)
		}
		wantPlatforms(t, l, "linux/amd64")
	})
	t.Run("several images, of which index.json is the index", func(t *testing.T) { // podman, crane
		l, s := write(t, a, b)
		fill(t, s, a, b)
		root, err := l.Root()
		if err != nil || !oci.IsIndex(root.MediaType) {
			t.Fatalf("root is %v, %v", root, err)
		}
		if report, err := blob.Copy(t.Context(), &mem.Store{}, blob.Verify("layout", l), blob.CopyOptions{}, root); err != nil || report.Moved.Blobs != 7 {
			t.Errorf("copied %d blobs, %v; want 2 images of 3 blobs and the index", report.Moved.Blobs, err)
		}
		wantPlatforms(t, l, "linux/amd64", "linux/arm64/v8")
	})
	t.Run("an index in an index, with attestations", func(t *testing.T) { // buildkit
		attestation := blobtest.Image(t, source, oci.Platform{OS: "unknown", Architecture: "unknown"}, []byte("sbom"))
		inner := blobtest.Index(t, source, b, a, attestation)
		l, s := write(t, blobtest.Index(t, source, inner))
		fill(t, s, inner)
		outer, _ := l.Root()
		fill(t, s, outer)
		wantPlatforms(t, l, "linux/arm64/v8", "linux/amd64")
	})
	t.Run("nothing", func(t *testing.T) {
		l, _ := write(t)
		if root, err := l.Root(); err == nil {
			t.Errorf("root is %v", root)
		}
	})
}

func TestOpenSaysWhatIsNoLayout(t *testing.T) {
	folder := t.TempDir()
	if _, err := layout.Open(folder); err == nil || !bytes.Contains([]byte(err.Error()), []byte("no index.json")) {
		t.Errorf("an empty folder: %v", err)
	}
	text := filepath.Join(folder, "text")
	os.WriteFile(text, bytes.Repeat([]byte("no tar "), 1000), 0o644)
	if _, err := layout.Open(text); err == nil || !bytes.Contains([]byte(err.Error()), []byte("is no tar")) {
		t.Errorf("a text: %v", err)
	}
	os.WriteFile(filepath.Join(folder, "index.json"), []byte(`{"manifests":[{"digest":"sha256:../../x"}]}`), 0o644)
	if _, err := layout.Open(folder); err == nil {
		t.Error("took a digest that is none")
	}
}

// TestOpenTakesNoPartOfAnIndex pads one with spaces, so that what is left of it would still be an index.
func TestOpenTakesNoPartOfAnIndex(t *testing.T) {
	index := append([]byte(`{"schemaVersion":2,"manifests":[]}`), bytes.Repeat([]byte(" "), oci.MaxManifestSize)...)
	folder := t.TempDir()
	os.WriteFile(filepath.Join(folder, "index.json"), index, 0o644)
	archive := filepath.Join(folder, "layout.tar")
	os.WriteFile(archive, indexTar(index), 0o644)
	for _, path := range []string{folder, archive} {
		if _, err := layout.Open(path); err == nil || !strings.Contains(err.Error(), "index.json: has more than 16777216 bytes") {
			t.Errorf("%s: error is %v", path, err)
		}
	}
}

// indexTar is a tar of an index.json alone.
func indexTar(index []byte) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Name: "index.json", Mode: 0o644, Size: int64(len(index))})
	w.Write(index)
	w.Close()
	return b.Bytes()
}

func TestTarIsASource(t *testing.T) {
	blobtest.TestSource(t, func(t *testing.T, bodies ...[]byte) blob.Source {
		path := filepath.Join(t.TempDir(), "image.tar")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		a := layout.NewArchive(f)
		for _, b := range bodies {
			if err := a.Put(t.Context(), blobtest.Describe(b), blobtest.Content(b)); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		return openLayout(t, path).Source
	})
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","size":3}]}`))
	f.Add([]byte(`{"manifests":[{"digest":"sha256:../x"},{}]}`))
	f.Fuzz(func(t *testing.T, index []byte) {
		path := filepath.Join(t.TempDir(), "layout.tar")
		os.WriteFile(path, indexTar(index), 0o644)
		l, err := layout.Open(path)
		if err != nil {
			return
		}
		defer l.Close()
		root, err := l.Root()
		if err != nil {
			return
		}
		blob.Copy(t.Context(), &mem.Store{}, l, blob.CopyOptions{}, root)
		l.Manifests(t.Context())
	})
}

func FuzzOpenTar(f *testing.F) {
	var b bytes.Buffer
	layout.NewArchive(&b).Close()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, body []byte) {
		path := filepath.Join(t.TempDir(), "layout.tar")
		os.WriteFile(path, body, 0o644)
		l, err := layout.Open(path)
		if err != nil {
			return
		}
		defer l.Close()
		root, err := l.Root()
		if err != nil {
			return
		}
		blob.Copy(t.Context(), &mem.Store{}, l, blob.CopyOptions{}, root)
	})
}
