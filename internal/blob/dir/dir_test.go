package dir_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

func TestStore(t *testing.T) {
	blobtest.Test(t, func(t *testing.T) blobtest.Store { return dir.Store{Root: t.TempDir()} })
}

func TestVolatileStore(t *testing.T) {
	blobtest.Test(t, func(t *testing.T) blobtest.Store {
		return dir.Store{Root: filepath.Join(t.TempDir(), "not", "there", "yet"), Volatile: true}
	})
}

func TestLinkingStore(t *testing.T) {
	blobtest.Test(t, func(t *testing.T) blobtest.Store { return dir.Store{Root: t.TempDir(), Link: always} })
}

func always(string) bool { return true }

func TestPutLinksAFileOfTheSource(t *testing.T) {
	from, to := dir.Store{Root: t.TempDir()}, dir.Store{Root: t.TempDir(), Link: always}
	d := put(t, from, []byte("linked"))
	if err := to.Put(t.Context(), d, from); err != nil {
		t.Fatal(err)
	}
	if !sameFile(t, from, to, d) {
		t.Error("the blob was copied")
	}
}

func TestPutFollowsASymlinkOfTheSource(t *testing.T) {
	from, to := dir.Store{Root: t.TempDir()}, dir.Store{Root: t.TempDir(), Link: always}
	d := put(t, from, []byte("linked"))
	alias := filepath.Join(t.TempDir(), "alias")
	path, _ := from.Path(d)
	if err := os.Symlink(path, alias); err != nil {
		t.Fatal(err)
	}
	if err := to.Put(t.Context(), d, files{d.Digest: alias}); err != nil {
		t.Fatal(err)
	}
	os.Remove(alias)
	if !sameFile(t, from, to, d) {
		t.Error("the blob is not a link to the file behind the symlink")
	}
}

func TestPutCopiesUnlessToldToLink(t *testing.T) {
	from, to := dir.Store{Root: t.TempDir()}, dir.Store{Root: t.TempDir()}
	d := put(t, from, []byte("copied"))
	if err := to.Put(t.Context(), d, from); err != nil {
		t.Fatal(err)
	}
	if sameFile(t, from, to, d) {
		t.Error("the blob was linked")
	}
}

// TestPutLinksOnlyWhatItIsTold asks by the path that is behind a symlink.
func TestPutLinksOnlyWhatItIsTold(t *testing.T) {
	from, root := dir.Store{Root: t.TempDir()}, t.TempDir()
	d := put(t, from, []byte("the file"))
	path, _ := from.Path(d)
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	alias := filepath.Join(t.TempDir(), "alias")
	if err := os.Symlink(real, alias); err != nil {
		t.Fatal(err)
	}
	for path, linked := range map[string]bool{alias: false, real: true} {
		to := dir.Store{Root: filepath.Join(root, filepath.Base(path)), Link: func(asked string) bool { return asked == path }}
		if err := to.Put(t.Context(), d, files{d.Digest: alias}); err != nil {
			t.Fatal(err)
		}
		if sameFile(t, from, to, d) != linked {
			t.Errorf("allowed to link %s: linked is %v", path, !linked)
		}
	}
}

func TestPutDoesNotLinkAFileOfAnotherSize(t *testing.T) {
	body := []byte("right")
	d := blobtest.Describe(body)
	path := filepath.Join(t.TempDir(), "file")
	os.WriteFile(path, []byte("longer than right"), 0o644)
	to := dir.Store{Root: t.TempDir(), Link: always}
	if err := to.Put(t.Context(), d, files{d.Digest: path}); !errors.Is(err, blob.ErrMismatch) {
		t.Errorf("error is %v; want ErrMismatch", err)
	}
}

func TestPutMendsADamagedFile(t *testing.T) {
	for name, link := range map[string]func(string) bool{"copying": nil, "linking": always} {
		from, to := dir.Store{Root: t.TempDir()}, dir.Store{Root: t.TempDir(), Link: link}
		d := put(t, from, []byte("whole"))
		put(t, to, []byte("whole"))
		path, _ := to.Path(d)
		if err := os.Truncate(path, 2); err != nil {
			t.Fatal(err)
		}
		if err := to.Put(t.Context(), d, from); err != nil {
			t.Fatal(err)
		}
		if got := read(t, to, d); string(got) != "whole" {
			t.Errorf("%s: after Put the blob is %q", name, got)
		}
	}
}

func TestDelete(t *testing.T) {
	s := dir.Store{Root: t.TempDir()}
	d := put(t, s, []byte("gone"))
	if err := s.Delete(t.Context(), d.Digest); err != nil {
		t.Fatal(err)
	}
	for _, digest := range []oci.Digest{d.Digest, oci.DigestOf([]byte("never there"))} {
		if err := s.Delete(t.Context(), digest); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("delete %s: %v; want ErrNotFound", digest, err)
		}
	}
	if err := s.Delete(t.Context(), "sha256:../../x"); err == nil || errors.Is(err, blob.ErrNotFound) {
		t.Errorf("deleting what is no digest: %v", err)
	}
}

func TestAllListsBlobsAndNothingElse(t *testing.T) {
	s := dir.Store{Root: t.TempDir()}
	for range s.All() {
		t.Error("an empty store yields something")
	}
	want := map[oci.Digest]int64{}
	for _, body := range []string{"", "a", "bb"} {
		d := put(t, s, []byte(body))
		want[d.Digest] = d.Size
	}
	os.WriteFile(filepath.Join(s.Root, "blobs", "sha256", ".put-1"), nil, 0o644)
	os.WriteFile(filepath.Join(s.Root, "blobs", "sha256", "README"), nil, 0o644)
	for d, err := range s.All() {
		if size, ok := want[d.Digest]; err != nil || !ok || size != d.Size {
			t.Errorf("yields %v, %v", d, err)
		}
		delete(want, d.Digest)
	}
	if len(want) != 0 {
		t.Errorf("does not yield %v", want)
	}
}

func TestSweepRemovesWhatAKilledProcessLeft(t *testing.T) {
	s := dir.Store{Root: t.TempDir()}
	d := put(t, s, []byte("kept"))
	kill(t, s)
	if got := temps(t, s); len(got) != 1 {
		t.Fatalf("the killed process left %q; want one temporary file", got)
	}
	if err := s.Sweep(); err != nil {
		t.Fatal(err)
	}
	if got := temps(t, s); len(got) != 0 {
		t.Errorf("after the sweep there is %q", got)
	}
	if got := read(t, s, d); string(got) != "kept" {
		t.Errorf("after the sweep the blob is %q", got)
	}
}

func TestSweepLeavesWhatIsBeingWritten(t *testing.T) {
	s := dir.Store{Root: t.TempDir()}
	body := blobtest.Bytes("slow", 1<<20)
	src := blob.SourceFunc(func(context.Context, oci.Descriptor) (io.ReadCloser, error) {
		sweep := readerFunc(func([]byte) (int, error) { return 0, cmp.Or(s.Sweep(), io.EOF) })
		return io.NopCloser(io.MultiReader(bytes.NewReader(body[:1000]), sweep, bytes.NewReader(body[1000:]), sweep)), nil
	})
	if err := s.Put(t.Context(), blobtest.Describe(body), src); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, blobtest.Describe(body)); !bytes.Equal(got, body) {
		t.Error("the blob is not what was put")
	}
}

func TestSweepsAndPutsAtOnce(t *testing.T) {
	s := dir.Store{Root: t.TempDir(), Volatile: true}
	var all errgroup.Group
	for i := range 4 {
		all.Go(func() error {
			for n := range 100 {
				body := []byte{byte(i), byte(n)}
				if err := s.Put(t.Context(), blobtest.Describe(body), blobtest.Content(body)); err != nil {
					return err
				}
			}
			return nil
		})
		all.Go(func() error {
			for range 100 {
				if err := s.Sweep(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := temps(t, s); len(got) != 0 {
		t.Errorf("left are %q", got)
	}
}

// kill runs this test binary again as a process that starts a Put into s, and kills it in the middle.
func kill(t *testing.T, s dir.Store) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestPutForever$")
	cmd.Env = append(os.Environ(), "DIR_TEST_ROOT="+s.Root)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	io.ReadFull(out, make([]byte, 1))
	cmd.Process.Kill()
	cmd.Wait()
}

// TestPutForever is the process that kill runs; alone it has nothing to do.
func TestPutForever(t *testing.T) {
	root := os.Getenv("DIR_TEST_ROOT")
	if root == "" {
		return
	}
	src := blob.SourceFunc(func(context.Context, oci.Descriptor) (io.ReadCloser, error) {
		wait := readerFunc(func([]byte) (int, error) { os.Stdout.WriteString("."); time.Sleep(time.Hour); return 0, nil })
		return io.NopCloser(io.MultiReader(bytes.NewReader([]byte("half")), wait)), nil
	})
	dir.Store{Root: root}.Put(t.Context(), blobtest.Describe([]byte("half and half")), src)
}

func put(t *testing.T, s dir.Store, body []byte) oci.Descriptor {
	t.Helper()
	d := blobtest.Describe(body)
	if err := s.Put(t.Context(), d, blobtest.Content(body)); err != nil {
		t.Fatal(err)
	}
	return d
}

func read(t *testing.T, s dir.Store, d oci.Descriptor) []byte {
	t.Helper()
	r, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sameFile(t *testing.T, a, b dir.Store, d oci.Descriptor) bool {
	t.Helper()
	var infos []os.FileInfo
	for _, s := range []dir.Store{a, b} {
		path, _ := s.Path(d)
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		infos = append(infos, info)
	}
	return os.SameFile(infos[0], infos[1])
}

func temps(t *testing.T, s dir.Store) []string {
	t.Helper()
	got, err := filepath.Glob(filepath.Join(s.Root, "blobs", "sha256", ".put-*"))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// files is a source of files on this machine, wherever they are.
type files map[oci.Digest]string

func (f files) Open(_ context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return os.Open(f[d.Digest])
}

func (f files) Path(d oci.Descriptor) (string, bool) { path, ok := f[d.Digest]; return path, ok }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
