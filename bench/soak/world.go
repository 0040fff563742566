package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/bazel-contrib/rules_img/bench/scene"
	"github.com/bazel-contrib/rules_img/internal/blob/blobtest"
	"github.com/bazel-contrib/rules_img/internal/blob/mem"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

const (
	repositories = 6
	tagsOfEach   = 4
	bases        = 4
	// keepJobs is how many jobs the build event service remembers.
	keepJobs = 50
)

// world is the servers and what clients know of them.
type world struct {
	options
	dir       string
	servers   []server
	registry  string // host:port
	commits   string // host:port
	events    string // host:port
	cache     string // host:port
	contents  repb.ContentAddressableStorageClient
	transport *http.Transport
	close     func()
	slots     []*slot

	mu   sync.Mutex
	next int // the number of the next image
	done map[string]int
	errs []error
}

// slot is a tag that images come to and go from. Whoever changes it holds it alone.
type slot struct {
	mu              sync.RWMutex
	repository, tag string
	image           scene.Image // without blobs until there is one
}

func newWorld(ctx context.Context, o options, dir string) (*world, error) {
	w := &world{options: o, dir: dir, transport: remote.NewTransport(16), done: map[string]int{}}
	for i := range repositories * tagsOfEach {
		w.slots = append(w.slots, &slot{repository: fmt.Sprintf("team/app%d", i%repositories), tag: fmt.Sprintf("v%d", i/repositories)})
	}
	if _, _, err := (scene.Program{Path: "go", Dir: o.root}).Run(ctx, "build", "-o", dir+"/", "./cmd/registry", "./cmd/bes", "./cmd/img"); err != nil {
		return nil, err
	}
	cache, err := scene.StartCache(ctx)
	if err != nil {
		return nil, err
	}
	w.cache = strings.TrimPrefix(cache, "grpc://")
	conn, err := grpc.NewClient(w.cache, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	w.contents, w.close = repb.NewContentAddressableStorageClient(conn), func() { conn.Close() }
	if err := w.startRegistry(ctx); err != nil {
		return nil, err
	}
	return w, w.startEvents(ctx)
}

func (w *world) startRegistry(ctx context.Context) error {
	data := filepath.Join(w.dir, "registry.data")
	s, err := w.start(ctx, 3, "registry", "--dir", data, "--blob-store", "reapi", "--blob-store", "dir", "--reapi-endpoint", "grpc://"+w.cache,
		"--enable-blobcache", "--grpc-port", "0", "--collect-grace", w.grace.String(), "--collect-interval", (w.grace / 4).String(), "--upload-age", w.grace.String())
	if err != nil {
		return err
	}
	w.registry, w.commits = s.Addresses[0], s.Addresses[1]
	w.servers = append(w.servers, server{"registry", s.PID, s.Addresses[2], data, w.beyondImages})
	return nil
}

func (w *world) startEvents(ctx context.Context) error {
	state := filepath.Join(w.dir, "bes.data")
	s, err := w.start(ctx, 2, "bes", "--state", state, "--cas-endpoint", "grpc://"+w.cache, "--commit-mode", "per-stream", "--allow-registry", w.registry,
		"--keep", fmt.Sprint(keepJobs), "--keep-for", w.grace.String(), "--stream-age", w.grace.String())
	if err != nil {
		return err
	}
	w.events = s.Addresses[0]
	w.servers = append(w.servers, server{"bes", s.PID, s.Addresses[1], state, func() (func(string) bool, error) { return w.beyondBuilds(state) }})
	return nil
}

// start runs a server with metrics, whose log is a file beside its data.
func (w *world) start(ctx context.Context, addresses int, name string, args ...string) (*scene.Server, error) {
	log, err := os.Create(filepath.Join(w.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	return scene.Start(ctx, log, addresses, filepath.Join(w.dir, name), append(args, "--port", "0", "--metrics-port", "0", "--quiet")...)
}

// load begins operations until the time is over and each was done, and ends when all have ended.
func (w *world) load(ctx context.Context, long time.Duration) {
	tick := time.NewTicker(time.Duration(float64(time.Second) / w.rate))
	defer tick.Stop()
	var all errgroup.Group
	defer all.Wait()
	all.SetLimit(w.clients)
	for over := time.Now().Add(long); ; {
		for _, i := range rand.Perm(len(operations)) {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				op := operations[i]
				all.Go(func() error { w.note(op.name, op.do(w, ctx, w.slots[rand.IntN(len(w.slots))])); return nil })
			}
		}
		if time.Now().After(over) {
			return
		}
	}
}

// fill brings an image to each slot.
func (w *world) fill(ctx context.Context) error {
	for _, s := range w.slots {
		if err := pushed((*world).pushByClient)(w, ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// mostErrors is how many errors are told; more say nothing new.
const mostErrors = 10

func (w *world) note(name string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done[name]++
	if err != nil && len(w.errs) < mostErrors {
		w.errs = append(w.errs, fmt.Errorf("%s: %w", name, err))
	}
}

// live has the digests of what images in the slots are made of, in hexadecimal.
func (w *world) live() map[string]bool {
	all := map[string]bool{}
	for _, s := range w.slots {
		s.mu.RLock()
		for _, d := range s.image.Blobs {
			all[d.Digest.Encoded()] = true
		}
		s.mu.RUnlock()
	}
	return all
}

// image makes an image that there was none of yet, on one of few bases.
func (w *world) image() (scene.Image, *mem.Store, error) {
	w.mu.Lock()
	w.next++
	n := w.next
	w.mu.Unlock()
	all := new(mem.Store)
	base := fmt.Sprintf("base %d", rand.IntN(bases))
	made, err := scene.MakeImage(all, blobtest.Bytes(base, 200_000), blobtest.Bytes(fmt.Sprintf("image %d", n), 1_000+rand.IntN(60_000)))
	return made, all, err
}

// request sends a request to the registry, wants a status, and returns the body.
func (w *world) request(ctx context.Context, method, path string, header http.Header, body []byte, want int) (string, http.Header, error) {
	if !strings.HasPrefix(path, "http://") {
		path = "http://" + w.registry + path
	}
	r, err := http.NewRequestWithContext(ctx, method, path, bytes.NewReader(body))
	if err != nil {
		return "", nil, err
	}
	if header != nil {
		r.Header = header
	}
	answer, err := w.transport.RoundTrip(r)
	if err != nil {
		return "", nil, err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != want {
		err = errors.New(answer.Status + ": " + string(got))
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", method, path, err)
	}
	return string(got), answer.Header, err
}

// client is a client of the repository of a slot, which knows nothing yet.
func (w *world) client(s *slot) (*remote.Repository, error) {
	return remote.New(remote.Options{Transport: w.transport}).Repository(oci.Reference{Registry: w.registry, Repository: s.repository})
}
