package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/bazel-contrib/rules_img/bench/scene"
	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/deploy"
)

// operation is what a client does once.
type operation struct {
	name string
	do   func(*world, context.Context, *slot) error
}

// operations has those more than once that are more frequent.
var operations = weighted(map[int][]operation{
	4: {{"pulls", (*world).pull}, {"ranges", (*world).readRange}, {"HEADs", (*world).head}, {"lists", (*world).list}},
	3: {{"pushes", pushed((*world).pushByClient)}, {"builds", pushed((*world).build)}},
	1: {
		{"pushes by img", pushed((*world).pushByImg)}, {"pushes by img, cas_registry", pushed((*world).commitByImg)}, {"deletions", (*world).remove},
		{"uploads left", (*world).leaveUpload}, {"uploads cut", (*world).cutUpload},
		{"builds that broke and came again", pushed((*world).breakBuild)}, {"builds that did not come again", (*world).leaveBuild}, {"builds that failed", (*world).failBuild},
	},
})

func weighted(byWeight map[int][]operation) (all []operation) {
	for weight, ops := range byWeight {
		for range weight {
			all = append(all, ops...)
		}
	}
	return all
}

// push brings an image to a slot.
type push func(*world, context.Context, *slot, scene.Image, *mem.Store) error

// pushed is the operation that puts a new image into a slot and deletes the one that was there.
func pushed(by push) func(*world, context.Context, *slot) error {
	return func(w *world, ctx context.Context, s *slot) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		image, bytes, err := w.image()
		if err != nil {
			return err
		}
		if err := by(w, ctx, s, image, bytes); err != nil {
			return err
		}
		earlier := s.image
		s.image = image
		_, header, err := w.request(ctx, http.MethodHead, "/v2/"+s.repository+"/manifests/"+s.tag, nil, nil, http.StatusOK)
		if got := header.Get("Docker-Content-Digest"); err == nil && got != string(image.Root.Digest) {
			err = fmt.Errorf("%s:%s is %s: want %s", s.repository, s.tag, got, image.Root.Digest)
		}
		if err != nil || len(earlier.Blobs) == 0 {
			return err
		}
		return w.deleteManifest(ctx, s, earlier)
	}
}

func (w *world) deleteManifest(ctx context.Context, s *slot, image scene.Image) error {
	_, _, err := w.request(ctx, http.MethodDelete, "/v2/"+s.repository+"/manifests/"+string(image.Root.Digest), nil, nil, http.StatusAccepted)
	return err
}

func (w *world) pushByClient(ctx context.Context, s *slot, image scene.Image, bytes *mem.Store) error {
	r, err := w.client(s)
	if err != nil {
		return err
	}
	sink := blob.Retry{}.Sink(r)
	if _, err := blob.Copy(ctx, sink, bytes, blob.CopyOptions{}, image.Root); err != nil {
		return err
	}
	return sink.(blob.Tagger).Tag(ctx, image.Root, s.tag)
}

func (w *world) pushByImg(ctx context.Context, s *slot, image scene.Image, bytes *mem.Store) error {
	return w.runImg(ctx, s, image, bytes, "eager")
}

// commitByImg pushes what is in the cache by saying so.
func (w *world) commitByImg(ctx context.Context, s *slot, image scene.Image, bytes *mem.Store) error {
	if err := w.upload(ctx, bytes, image.Blobs...); err != nil {
		return err
	}
	return w.runImg(ctx, s, image, bytes, "cas_registry", "IMG_BLOB_CACHE_ENDPOINT=grpc://"+w.commits, "IMG_REAPI_ENDPOINT=grpc://"+w.cache)
}

func (w *world) runImg(ctx context.Context, s *slot, image scene.Image, bytes *mem.Store, strategy string, env ...string) error {
	files, err := os.MkdirTemp(w.dir, "runfiles-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(files)
	if _, err := blob.Copy(ctx, dir.Store{Root: files, Volatile: true}, bytes, blob.CopyOptions{}, image.Root); err != nil {
		return err
	}
	b, err := w.plan(s, image, strategy).Encode()
	if err != nil {
		return err
	}
	path := filepath.Join(files, "plan.json")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return err
	}
	_, _, err = scene.Program{Path: filepath.Join(w.dir, "img"), Env: append(env, "RUNFILES_DIR="+files)}.Run(ctx, "deploy", path, "--quiet")
	return err
}

func (w *world) plan(s *slot, image scene.Image, strategy string) deploy.Plan {
	p := deploy.Plan{Version: deploy.Version, Name: "//soak:push", Operations: []deploy.Operation{{
		Kind: deploy.KindPush, Name: "//soak:push", Root: image.Root, Registry: w.registry, Repository: s.repository, Tags: []string{s.tag}, Strategy: strategy,
	}}}
	for _, d := range image.Blobs {
		p.Blobs = append(p.Blobs, deploy.Blob{Descriptor: d, File: "blobs/sha256/" + d.Digest.Encoded()})
	}
	return p
}

// reading holds a slot that has an image, if this one has.
func (s *slot) reading(do func(scene.Image) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.image.Blobs) == 0 {
		return nil
	}
	return do(s.image)
}

// pull reads all of an image, and checks it.
func (w *world) pull(ctx context.Context, s *slot) error {
	return s.reading(func(image scene.Image) error {
		r, err := w.client(s)
		if err != nil {
			return err
		}
		root, err := r.Resolve(ctx, s.tag)
		if err != nil {
			return err
		}
		if root.Digest != image.Root.Digest {
			return fmt.Errorf("%s:%s is %s: want %s", s.repository, s.tag, root.Digest, image.Root.Digest)
		}
		_, err = blob.Copy(ctx, new(mem.Store), blob.Verify("registry", blob.Retry{}.Source(r)), blob.CopyOptions{}, root)
		return err
	})
}

func (w *world) readRange(ctx context.Context, s *slot) error {
	return s.reading(func(image scene.Image) error {
		layer := image.Blobs[0]
		from := rand.Int64N(layer.Size - 1000)
		header := http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", from, from+999)}}
		got, _, err := w.request(ctx, http.MethodGet, "/v2/"+s.repository+"/blobs/"+string(layer.Digest), header, nil, http.StatusPartialContent)
		if err == nil && len(got) != 1000 {
			err = fmt.Errorf("a range of 1000 bytes has %d", len(got))
		}
		return err
	})
}

func (w *world) head(ctx context.Context, s *slot) error {
	return s.reading(func(image scene.Image) error {
		for _, d := range image.Blobs[:len(image.Blobs)-1] {
			if _, _, err := w.request(ctx, http.MethodHead, "/v2/"+s.repository+"/blobs/"+string(d.Digest), nil, nil, http.StatusOK); err != nil {
				return err
			}
		}
		_, _, err := w.request(ctx, http.MethodHead, "/v2/"+s.repository+"/manifests/nowhere", nil, nil, http.StatusNotFound)
		return err
	})
}

func (w *world) list(ctx context.Context, s *slot) error {
	return s.reading(func(image scene.Image) error {
		tags, _, err := w.request(ctx, http.MethodGet, "/v2/"+s.repository+"/tags/list", nil, nil, http.StatusOK)
		if err == nil && !strings.Contains(tags, `"`+s.tag+`"`) {
			err = fmt.Errorf("%s is not among the tags: %s", s.tag, tags)
		}
		if err != nil {
			return err
		}
		_, _, err = w.request(ctx, http.MethodGet, "/v2/"+s.repository+"/referrers/"+string(image.Root.Digest), nil, nil, http.StatusOK)
		return err
	})
}

// remove deletes an image, and its tag with it.
func (w *world) remove(ctx context.Context, s *slot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.image.Blobs) == 0 {
		return nil
	}
	image := s.image
	s.image = scene.Image{}
	return w.deleteManifest(ctx, s, image)
}

// begin begins an upload, and returns where it goes on.
func (w *world) begin(ctx context.Context, s *slot) (string, error) {
	_, header, err := w.request(ctx, http.MethodPost, "/v2/"+s.repository+"/blobs/uploads/", nil, nil, http.StatusAccepted)
	return header.Get("Location"), err
}

// leaveUpload sends a part of a blob, and nothing more.
func (w *world) leaveUpload(ctx context.Context, s *slot) error {
	at, err := w.begin(ctx, s)
	if err != nil {
		return err
	}
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	_, _, err = w.request(ctx, http.MethodPatch, at, header, blobtest.Bytes("left", 50_000), http.StatusAccepted)
	return err
}

// cutUpload ends the connection in the middle of a blob.
func (w *world) cutUpload(ctx context.Context, s *slot) error {
	at, err := w.begin(ctx, s)
	if err != nil {
		return err
	}
	ctx, cut := context.WithCancel(ctx)
	defer cut()
	read, write := io.Pipe()
	r, err := http.NewRequestWithContext(ctx, http.MethodPatch, "http://"+w.registry+at, read)
	if err != nil {
		return err
	}
	go func() {
		write.Write(blobtest.Bytes("cut", 50_000))
		cut()
		write.CloseWithError(context.Canceled)
	}()
	if answer, err := w.transport.RoundTrip(r); err == nil {
		answer.Body.Close()
		return fmt.Errorf("an upload that was cut is answered with %s", answer.Status)
	}
	return nil
}
