package main

import (
	"context"
	"fmt"
	"os"
	"os/user"

	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/pull"
	"github.com/bazel-contrib/rules_img/internal/request"
)

// runBlob pulls the one blob that a request names into a file.
func runBlob(ctx context.Context, p process) error {
	f, err := openRequest(p)
	if err != nil {
		return err
	}
	defer f.Close()
	out := outputs{}
	h, err := request.ReadBlob(f, func(r request.FileRecord) error {
		if r.Type != request.BlobBlob {
			return fmt.Errorf("record of unknown type %q", r.Type)
		}
		out[r.Type] = r.From
		return nil
	})
	if err != nil {
		return err
	}
	p.Getenv = withHome(p.Getenv)
	if err := pullBlob(ctx, p, h, out[request.BlobBlob]); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	return nil
}

// pullBlob pulls into a directory beside the file, so that nothing half-written is ever there.
func pullBlob(ctx context.Context, p process, h request.Blob, file string) error {
	from, err := originFlags{h.Registries, h.Repository}.origins(p)
	if err != nil {
		return err
	}
	digest, err := oci.ParseDigest(h.Digest)
	if err != nil {
		return err
	}
	d := oci.Descriptor{MediaType: "application/octet-stream", Digest: digest, Size: h.Size}
	to := dir.Store{Root: file + ".pull", Volatile: true}
	defer os.RemoveAll(to.Root)
	if err := pull.Blobs(ctx, to, from, d); err != nil {
		return err
	}
	path, _ := to.Path(d)
	return os.Rename(path, file)
}

// withHome finds the user's home, where credentials are, when the environment does not say: Bazel hides it from actions.
func withHome(getenv func(string) string) func(string) string {
	return func(key string) string {
		if value := getenv(key); value != "" || key != "HOME" {
			return value
		}
		u, err := user.Current()
		if err != nil {
			return ""
		}
		return u.HomeDir
	}
}
