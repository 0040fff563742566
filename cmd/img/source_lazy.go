package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bazel-contrib/rules_img/cmd/internal/wiring"
	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/cas"
	"github.com/bazel-contrib/rules_img/internal/credential"
	"github.com/bazel-contrib/rules_img/internal/deploy"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// lazySources are where the bytes of a lazy plan's layers may be, the nearest first: the output tree, Bazel's disk cache, its remote cache.
func lazySources(p process, plan deploy.Plan, retry blob.Retry, moved *blob.Counter) ([]blob.Named, error) {
	all := []blob.Named{wiring.Counted(moved, "output tree", deploy.NewOutputs(plan, executionRoots(p)...))}
	for _, c := range cachesOf(p, plan) {
		if c.Disk != "" {
			dir, err := expandPath(p, c.Disk)
			if err != nil {
				return nil, fmt.Errorf("disk_cache: %w", err)
			}
			all = append(all, wiring.Counted(moved, "disk cache", cas.Disk{Dir: dir, Key: wiring.Keys(plan)}))
		}
	}
	for _, c := range cachesOf(p, plan) {
		if c.Remote != "" {
			cache, err := openCache(p, c, wiring.Keys(plan))
			if err != nil {
				return nil, err
			}
			all = append(all, wiring.Counted(moved, "remote cache", retry.Source(cache)))
		}
	}
	return all, nil
}

// cachesOf are the plan's caches. What the settings did not say, the environment may.
func cachesOf(p process, plan deploy.Plan) []deploy.Cache {
	var all []deploy.Cache
	for _, c := range slices.Concat(plan.Caches, []deploy.Cache{{}}) {
		c.Remote = cmp.Or(c.Remote, p.Getenv("IMG_REAPI_ENDPOINT"))
		c.CredentialHelper = cmp.Or(c.CredentialHelper, p.Getenv("IMG_CREDENTIAL_HELPER"))
		c.Disk = cmp.Or(c.Disk, p.Getenv("IMG_DISK_CACHE"))
		if !slices.ContainsFunc(all, func(o deploy.Cache) bool { return o.Remote == c.Remote && o.Disk == c.Disk }) {
			all = append(all, c)
		}
	}
	return all
}

func openCache(p process, c deploy.Cache, key func(oci.Descriptor) (cas.Key, bool)) (*cas.Cache, error) {
	o := cas.Options{Key: key}
	if c.CredentialHelper != "" {
		helpers, err := credential.Parse(c.CredentialHelper, workspace(p))
		if err != nil {
			return nil, err
		}
		o.Credentials = helpers.Headers
	}
	return cas.Open(c.Remote, o)
}

// workspace is where bazel run was called, if it was.
func workspace(p process) string { return p.Getenv("BUILD_WORKSPACE_DIRECTORY") }

// expandPath reads a path as Bazel reads those of its options: ~ and %workspace% stand for directories, and a relative one begins in the
// workspace.
func expandPath(p process, path string) (string, error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home := cmp.Or(p.Getenv("HOME"), p.Getenv("USERPROFILE"))
		if home == "" {
			return "", fmt.Errorf("%s: the environment has no HOME", path)
		}
		return filepath.Join(home, rest), nil
	}
	path = strings.TrimPrefix(path, "%workspace%/")
	if filepath.IsAbs(path) {
		return path, nil
	}
	if workspace(p) == "" {
		return "", fmt.Errorf("%s: the workspace is not known: run the target with bazel run, or name the directory by an absolute path", path)
	}
	return filepath.Join(workspace(p), path), nil
}

// executionRoots are directories in which outputs have the paths that actions know: the one that the program was built in, and the
// workspace, where a symlink makes it look like one.
func executionRoots(p process) []string {
	var roots []string
	dir := filepath.Dir(p.Program)
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	slashed := filepath.ToSlash(dir) + "/"
	if i := strings.LastIndex(slashed, "/bazel-out/"); i >= 0 {
		roots = append(roots, filepath.FromSlash(slashed[:i]))
	}
	if w := workspace(p); w != "" {
		if _, err := os.Stat(filepath.Join(w, "bazel-out")); err == nil {
			roots = append(roots, w)
		}
	}
	return roots
}

// explained adds to the error for a blob that is nowhere which layer it is, and what to do.
func explained(p process, plan deploy.Plan, s blob.Source) blob.Source {
	outputs := map[oci.Digest]string{}
	for _, b := range plan.Blobs {
		if b.Output != "" {
			outputs[b.Digest] = b.Output
		}
	}
	remote := slices.ContainsFunc(cachesOf(p, plan), func(c deploy.Cache) bool { return c.Remote != "" })
	return blob.SourceFunc(func(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
		r, err := s.Open(ctx, d)
		if output := outputs[d.Digest]; err != nil && ctx.Err() == nil && output != "" {
			return nil, &lackingError{err, output, plan.Name, remote}
		}
		return r, err
	})
}

// lackingError is the error for a layer that no source has.
type lackingError struct {
	error
	output, target string
	remote         bool // a remote cache was asked
}

func (e *lackingError) Error() string { return fmt.Sprintf("layer %s: %v", e.output, e.error) }

func (e *lackingError) Unwrap() error { return e.error }

// Hint says what a person can do.
func (e *lackingError) Hint() string {
	target := strings.TrimPrefix(e.target, "@@")
	if !e.remote {
		return "no remote cache is known: set --@rules_img//img/settings:remote_cache, or $IMG_REAPI_ENDPOINT, as you set Bazel's --remote_cache; a disk cache is the setting disk_cache, or $IMG_DISK_CACHE"
	}
	if !errors.Is(e.error, blob.ErrNotFound) {
		return "" // a source that is in trouble may have it, and says what to do itself
	}
	return "the cache may have dropped the layer since the build: bazel build --remote_download_outputs=all " + target + " makes or fetches it again, then run the target again"
}
