package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"lukechampine.com/blake3"

	"github.com/bazel-contrib/rules_img/internal/bes"
	"github.com/bazel-contrib/rules_img/internal/blob/cas"
	"github.com/bazel-contrib/rules_img/internal/deploy"
)

// errNoPlan is for a file that is called like a plan, and is of somebody else.
var errNoPlan = errors.New("is no plan of rules_img")

// plan reads the plan of a job.
func (p *pusher) plan(ctx context.Context, f bes.File) (deploy.Plan, error) {
	b, err := p.read(ctx, f)
	if err != nil {
		return deploy.Plan{}, err
	}
	var ours struct { // in every version
		Version    json.RawMessage `json:"version"`
		Operations json.RawMessage `json:"operations"`
	}
	if json.Unmarshal(b, &ours) != nil || ours.Version == nil || ours.Operations == nil {
		return deploy.Plan{}, errNoPlan
	}
	return deploy.Parse(b)
}

func (p *pusher) read(ctx context.Context, f bes.File) ([]byte, error) {
	if f.URI == "" {
		return f.Contents, nil
	}
	u, err := url.Parse(f.URI)
	switch {
	case err != nil:
		return nil, err
	case u.Scheme == "bytestream":
		return p.readCache(ctx, u)
	case u.Scheme == "file":
		return p.readFile(u)
	}
	return nil, fmt.Errorf("%s: want bytestream:// or file://", f.URI)
}

// readCache reads from the one cache that the operator named, by the digest alone: the rest of the URI is what the client calls the cache.
func (p *pusher) readCache(ctx context.Context, u *url.URL) (b []byte, err error) {
	key, size, err := parseResource(u.Path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u, err)
	}
	if p.cache == nil {
		return nil, fmt.Errorf("%s: the server was started without --cas-endpoint", u)
	}
	err = arrived(ctx, p.uploadWait, func() error {
		return retry.Do(ctx, func() error { b, err = p.readKey(ctx, key, size); return err })
	})
	if err != nil {
		return nil, &lackingError{err}
	}
	return b, verify(key, size, b)
}

func (p *pusher) readKey(ctx context.Context, key cas.Key, size int64) ([]byte, error) {
	r, err := p.cache.OpenKey(ctx, key, size)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, size+1))
}

// parseResource reads what ByteStream calls a blob: [INSTANCE/]blobs/[FUNCTION/]HASH/SIZE.
func parseResource(path string) (key cas.Key, size int64, err error) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	at := slices.Index(parts, "blobs")
	if at < 0 {
		return key, 0, errors.New("names no blob")
	}
	parts, key.Function = parts[at+1:], repb.DigestFunction_SHA256
	if len(parts) == 3 {
		key.Function = repb.DigestFunction_Value(repb.DigestFunction_Value_value[strings.ToUpper(parts[0])])
		parts = parts[1:]
	}
	if len(parts) != 2 || newHash(key.Function) == nil {
		return key, 0, errors.New("want blobs/HASH/SIZE, or blobs/blake3/HASH/SIZE: other digest functions are not known")
	}
	if b, err := hex.DecodeString(parts[0]); err != nil || len(b) != 32 {
		return key, 0, fmt.Errorf("%q is no digest", parts[0])
	}
	size, err = strconv.ParseInt(parts[1], 10, 64)
	if err != nil || size < 0 || size > deploy.MaxSize {
		return key, 0, fmt.Errorf("a plan of %s bytes: want at most %d", parts[1], deploy.MaxSize)
	}
	key.Hash = parts[0]
	return key, size, nil
}

func newHash(f repb.DigestFunction_Value) hash.Hash {
	switch f {
	case repb.DigestFunction_SHA256:
		return sha256.New()
	case repb.DigestFunction_BLAKE3:
		return blake3.New(32, nil)
	}
	return nil
}

func verify(key cas.Key, size int64, b []byte) error {
	h := newHash(key.Function)
	h.Write(b)
	if int64(len(b)) != size || hex.EncodeToString(h.Sum(nil)) != key.Hash {
		return fmt.Errorf("what the cache has for %s is something else", key.Hash)
	}
	return nil
}

// readFile reads a file of this machine, if the operator lets events name it.
func (p *pusher) readFile(u *url.URL) ([]byte, error) {
	path, err := p.allowedPath(u)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > deploy.MaxSize {
		return nil, fmt.Errorf("%s: want a file of at most %d bytes", path, deploy.MaxSize)
	}
	return os.ReadFile(path)
}

func (p *pusher) allowedPath(u *url.URL) (string, error) {
	if p.allowFiles == "" {
		return "", &onlyThereError{u.Path}
	}
	root, err := filepath.EvalSymlinks(p.allowFiles)
	if err != nil {
		return "", fmt.Errorf("--allow-files: %w", err)
	}
	path, err := filepath.EvalSymlinks(filepath.FromSlash(u.Path))
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(root, path)
	if err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("%s is not below --allow-files=%s", path, p.allowFiles)
	}
	return path, nil
}
