package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/pull"
)

// pullFlags say what to pull and where to.
type pullFlags struct {
	originFlags
	tag, out  string
	manifests []string
	blobs     []oci.Descriptor
}

// runPull copies manifests and configs, or single blobs, below the directory --out, each at blobs/sha256/HEX as in an OCI layout, and
// prints the descriptor of each manifest that was asked for.
func runPull(ctx context.Context, p process) error {
	f, err := parsePullFlags(p)
	if err != nil {
		return err
	}
	from, err := f.origins(p)
	if err != nil {
		return err
	}
	to := &dir.Store{Root: f.out, Volatile: true}
	for _, reference := range f.references() {
		root, err := pull.Image(ctx, to, from, reference)
		if err != nil {
			return err
		}
		if err := json.NewEncoder(p.Stdout).Encode(root); err != nil {
			return err
		}
	}
	if len(f.blobs) == 0 {
		return nil
	}
	return pull.Blobs(ctx, to, from, f.blobs...)
}

// references are the manifests to pull: by digest, or by tag when there is none.
func (f pullFlags) references() []string {
	if len(f.manifests) == 0 && f.tag != "" {
		return []string{f.tag}
	}
	return f.manifests
}

func parsePullFlags(p process) (pullFlags, error) {
	var f pullFlags
	flags := f.set()
	flags.SetOutput(p.Stderr)
	if err := flags.Parse(p.Args); err != nil {
		return f, err
	}
	if f.repository == "" || f.out == "" || len(f.references())+len(f.blobs) == 0 {
		return f, errors.New("pull: want --repository, --out, and --digest, --tag or --blob")
	}
	return f, nil
}

func (f *pullFlags) set() *flag.FlagSet {
	flags := newFlags("pull")
	f.add(flags)
	flags.StringVar(&f.tag, "tag", "", "`tag` of a manifest or index to pull")
	flags.Func("digest", "`digest` of a manifest or index to pull; it wins over --tag, and may be repeated", func(s string) error {
		_, err := oci.ParseDigest(s)
		f.manifests = append(f.manifests, s)
		return err
	})
	flags.Func("blob", "`digest[,size]` of another blob to pull; may be repeated", func(s string) error {
		d, err := parseBlob(s)
		f.blobs = append(f.blobs, d)
		return err
	})
	flags.StringVar(&f.out, "out", "", "`directory` to pull into")
	return flags
}

func parseBlob(s string) (oci.Descriptor, error) {
	digest, size, sized := strings.Cut(s, ",")
	d := oci.Descriptor{MediaType: "application/octet-stream"}
	var err error
	if d.Digest, err = oci.ParseDigest(digest); err != nil || !sized {
		return d, err
	}
	if d.Size, err = strconv.ParseInt(size, 10, 64); err != nil || d.Size < 0 {
		return d, fmt.Errorf("%q is no size", size)
	}
	return d, nil
}
