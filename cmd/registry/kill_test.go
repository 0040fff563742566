package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

var (
	rounds = flag.Int("kill-rounds", 20, "how often the registry is killed while images are pushed")
	seed   = flag.Uint64("kill-seed", uint64(time.Now().UnixNano()), "when it is killed")
)

// once makes a client say at once that a server is gone.
var once = remote.WithRetryBackoff(remote.Backoff{Steps: 1})

// TestKill kills the registry at a random moment of many pushes, again and again on one directory. After each time all
// that can be seen is whole, and what was acknowledged can be seen.
func TestKill(t *testing.T) {
	t.Logf("-kill-seed=%d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	root, acknowledged := t.TempDir(), 0
	for round := range *rounds {
		s := start(t, "--dir", root, "--quiet")
		p := &pushers{t: t, host: s.host, done: map[string]string{}}
		p.start(round)
		if round%2 == 1 {
			p.waitForOne()
		}
		time.Sleep(time.Duration(random.IntN(150)) * time.Millisecond)
		p.killed.Store(true)
		s.Process.Kill()
		s.Wait()
		p.all.Wait()

		s = start(t, "--dir", root, "--quiet")
		checkAcknowledged(t, s.host, p.done)
		checkManifests(t, s.host, root, fmt.Sprintf("round%d@", round))
		acknowledged += len(p.done)
		s.Process.Kill() // also between two pushes
		s.Wait()
	}
	if acknowledged == 0 {
		t.Error("no push was acknowledged in time: the rounds are too short to show anything")
	}
	t.Logf("%d pushes were acknowledged in %d rounds", acknowledged, *rounds)
	s := start(t, "--dir", root)
	checkManifests(t, s.host, root, "")
	checkBlobs(t, root)
	p := &pushers{t: t, host: s.host, done: map[string]string{}}
	if err := p.push("after/all:latest", 1000); err != nil {
		t.Errorf("the push after all: %v", err)
	}
	checkAcknowledged(t, s.host, p.done)
}

// Two processes may share a directory: each sees at once what the other did, and neither harms what the other is doing.
func TestTwoProcessesShareADirectory(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such locks")
	}
	root := t.TempDir()
	one, two := start(t, "--dir", root, "--quiet"), start(t, "--dir", root, "--quiet")
	p, q := &pushers{t: t, host: one.host, done: map[string]string{}}, &pushers{t: t, host: two.host, done: map[string]string{}}
	p.start(0) // the same repositories and tags
	q.start(0)
	p.waitForOne()
	q.waitForOne()
	for n := range 5 {
		tag := fmt.Sprintf("round0/deleted:v%d", n)
		if err := p.push(tag, 1000); err != nil {
			t.Fatal(err)
		}
		remove(t, two.host+"/round0/deleted@"+p.forget(tag))
		if _, err := pull(one.host + "/" + tag); err == nil {
			t.Errorf("%s can be pulled after it was deleted", tag)
		}
	}
	p.killed.Store(true)
	q.killed.Store(true)
	p.all.Wait()
	q.all.Wait()
	checkManifests(t, one.host, root, "")
	checkBlobs(t, root)
	for tag := range p.done {
		checkImage(t, two.host+"/"+tag)
	}
}

func remove(t *testing.T, reference string) {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Delete(ref, once); err != nil {
		t.Fatal(err)
	}
}

// pushers push images until the registry is killed.
type pushers struct {
	t      *testing.T
	host   string
	all    sync.WaitGroup
	killed atomic.Bool

	mu   sync.Mutex
	done map[string]string // tag → digest of what was acknowledged
}

func (p *pushers) start(round int) {
	for i, size := range []int64{2_000, 50_000, 4_000_000} {
		p.all.Go(func() {
			for n := 0; !p.killed.Load(); n++ {
				err := p.push(fmt.Sprintf("round%d/pusher%d:v%d", round, i, n), size)
				if err != nil && !p.killed.Load() {
					p.t.Errorf("a push to a living registry: %v", err)
				}
			}
		})
	}
}

// forget returns the digest of a tag that was acknowledged, and remembers it no more.
func (p *pushers) forget(tag string) (digest string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	digest = p.done[tag]
	delete(p.done, tag)
	return digest
}

// waitForOne waits until a push was acknowledged, which takes long when the disk is busy.
func (p *pushers) waitForOne() {
	for range 1000 {
		p.mu.Lock()
		n := len(p.done)
		p.mu.Unlock()
		if n > 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (p *pushers) push(tag string, size int64) error {
	image, err := random.Image(size, 2)
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	ref, err := name.ParseReference(p.host + "/" + tag)
	if err != nil {
		return err
	}
	if err := remote.Write(ref, image, once); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[tag] = digest.String()
	return nil
}

// checkAcknowledged looks for each tag that was acknowledged.
func checkAcknowledged(t *testing.T, host string, done map[string]string) {
	t.Helper()
	for tag, digest := range done {
		if got, err := pull(host + "/" + tag); err != nil {
			t.Errorf("acknowledged: %s: %v", tag, err)
		} else if d, _ := got.Digest(); d.String() != digest {
			t.Errorf("acknowledged: %s is %s and not %s", tag, d, digest)
		}
	}
}

// checkManifests pulls all that the registry shows in repositories whose folder has the prefix: manifests by digest, and tags.
func checkManifests(t *testing.T, host, root, prefix string) {
	t.Helper()
	links, err := filepath.Glob(filepath.Join(root, "repositories", prefix+"*", "manifests", "*"))
	if err != nil {
		t.Fatal(err)
	}
	repositories := map[string]bool{}
	for _, link := range links {
		repository := host + "/" + strings.ReplaceAll(filepath.Base(filepath.Dir(filepath.Dir(link))), "@", "/")
		repositories[repository] = true
		checkImage(t, repository+"@"+strings.Replace(filepath.Base(link), "-", ":", 1))
	}
	for repository := range repositories {
		for _, tag := range tags(t, repository) {
			checkImage(t, repository+":"+tag)
		}
	}
}

func checkImage(t *testing.T, reference string) {
	t.Helper()
	image, err := pull(reference)
	if err == nil {
		err = validate.Image(image)
	}
	if err != nil {
		t.Errorf("visible: %s: %v", reference, err)
	}
}

func tags(t *testing.T, repository string) []string {
	t.Helper()
	repo, err := name.NewRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	all, err := remote.List(repo, once)
	if missing := new(transport.Error); errors.As(err, &missing) && missing.StatusCode == http.StatusNotFound {
		return nil
	}
	if err != nil {
		t.Errorf("tags of %s: %v", repository, err)
	}
	return all
}

func pull(reference string) (v1.Image, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return nil, err
	}
	return remote.Image(ref, once)
}

// checkBlobs hashes every blob, whoever has it.
func checkBlobs(t *testing.T, root string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "blobs", "sha256", "[0-9a-f]*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no blobs, %v", err)
	}
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		hash := sha256.New()
		_, err = io.Copy(hash, f)
		f.Close()
		if got := hex.EncodeToString(hash.Sum(nil)); err != nil || got != filepath.Base(path) {
			t.Errorf("%s has the digest %s, %v", path, got, err)
		}
	}
}
