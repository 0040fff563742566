package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"strings"

	"github.com/bazel-contrib/rules_img/cmd/internal/wiring"
	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// grant is what Bazel's downloader needs to pull from one registry: where to, and with which header; or why it will not do.
type grant struct {
	URL           string `json:"url,omitempty"`
	Authorization string `json:"authorization,omitempty"`
	Error         string `json:"error,omitempty"`
}

func (f *originFlags) setAuthorize() *flag.FlagSet {
	flags := newFlags("authorize")
	f.add(flags)
	return flags
}

// runAuthorize prints, for each registry, a line of JSON that lets another client pull. It holds secrets. A registry that lets nobody in is
// not an error: another may.
func runAuthorize(ctx context.Context, p process) error {
	var f originFlags
	flags := f.setAuthorize()
	flags.SetOutput(p.Stderr)
	if err := flags.Parse(p.Args); err != nil {
		return err
	}
	if f.repository == "" {
		return errors.New("authorize: want --repository")
	}
	refs, err := f.references()
	if err != nil {
		return err
	}
	client := clientOf(p)
	out := json.NewEncoder(p.Stdout)
	out.SetEscapeHTML(false)
	for _, ref := range refs {
		g := grant{}
		got, err := authorize(ctx, client(), ref)
		if err != nil {
			g.Error = strings.Join(append([]string{err.Error()}, wiring.Hints(err)...), "; ")
		} else {
			g.URL, g.Authorization = got.URL, got.Authorization
		}
		if err := out.Encode(g); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func authorize(ctx context.Context, client *remote.Client, ref oci.Reference) (g remote.Grant, err error) {
	r, err := client.Repository(ref)
	if err != nil {
		return g, err
	}
	err = blob.Retry{}.Do(ctx, func() error { g, err = r.Authorize(ctx); return err })
	return g, err
}
