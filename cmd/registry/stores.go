package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"slices"

	"github.com/bazel-contrib/rules_img/cmd/internal/wiring"
	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/cas"
	"github.com/bazel-contrib/rules_img/internal/blob/remote"
	"github.com/bazel-contrib/rules_img/internal/blob/s3"
	"github.com/bazel-contrib/rules_img/internal/credential"
	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

// storeOptions say where blobs are.
type storeOptions struct {
	names            []string
	cache            string
	credentialHelper string
	upstreams        []upstream
	s3               s3.Options
	s3Keep           bool
}

func (o *storeOptions) add(flags *flag.FlagSet) {
	flags.Func("blob-store", "where blobs are: `reapi`, s3, upstream or dir; may be repeated, and blobs are looked for in that order. "+
		"Uploads go to the first of s3 and dir. Without the flag, dir is the only one", o.addStore)
	flags.StringVar(&o.cache, "reapi-endpoint", "", "`endpoint` of the store reapi, as Bazel's --remote_cache")
	flags.StringVar(&o.credentialHelper, "credential-helper", "", "`program` that has the credentials of --reapi-endpoint, as Bazel's --credential_helper")
	flags.Func("upstream-url", "`https://HOST[/REPOSITORY]` of the store upstream: a registry that blobs of bases may be pulled from, or one repository of it, which "+
		"is then asked for every blob; may be repeated", o.addUpstream)
	flags.StringVar(&o.s3.Bucket, "s3-bucket", "", "`name` of the bucket of the store s3")
	flags.StringVar(&o.s3.Endpoint, "s3-endpoint", "", "`URL` of the server of the bucket (default: Amazon's)")
	flags.StringVar(&o.s3.Region, "s3-region", "", "`region` of the bucket; without one the server is asked")
	flags.StringVar(&o.s3.Profile, "s3-profile", "", "`name` of a profile of the shared credentials file; without one, the environment's keys are used, the default profile, or what the machine has in its cloud")
	flags.BoolVar(&o.s3Keep, "s3-keep", false, "delete nothing from the bucket: set it when others refer to what is there")
}

func (o *storeOptions) addStore(name string) error {
	if !slices.Contains([]string{"reapi", "s3", "upstream", store.Dir}, name) {
		return errors.New("want reapi, s3, upstream or dir")
	}
	if slices.Contains(o.names, name) {
		return errors.New("is there twice")
	}
	o.names = append(o.names, name)
	return nil
}

func (o *storeOptions) addUpstream(s string) error {
	u, err := parseUpstream(s)
	if err == nil {
		o.upstreams = append(o.upstreams, u)
	}
	return err
}

func (o storeOptions) check() error {
	for _, c := range []struct {
		store, flag string
		given       bool
	}{
		{"reapi", "reapi-endpoint", o.cache != ""},
		{"s3", "s3-bucket", o.s3.Bucket != ""},
		{"upstream", "upstream-url", len(o.upstreams) > 0},
	} {
		switch used := slices.Contains(o.names, c.store); {
		case used && !c.given:
			return fmt.Errorf("--blob-store %s: want --%s, which says where that is", c.store, c.flag)
		case !used && c.given:
			return fmt.Errorf("--%s: want --blob-store %s too, at its place in the order", c.flag, c.store)
		}
	}
	if o.cache == "" {
		return nil
	}
	_, err := cas.ParseEndpoint(o.cache)
	return err
}

// places opens the stores. Only that of a bucket is asked whether it is there.
func (o storeOptions) places(ctx context.Context, p process, log *slog.Logger) ([]store.Named, error) {
	var all []store.Named
	for _, name := range o.names {
		place, err := o.place(ctx, p, log, name)
		if err != nil {
			return nil, fmt.Errorf("--blob-store %s: %w", name, err)
		}
		all = append(all, store.Named{Name: name, Place: place})
	}
	return all, nil
}

func (o storeOptions) place(ctx context.Context, p process, log *slog.Logger, name string) (store.Place, error) {
	switch name {
	case "reapi":
		return o.reapi()
	case "s3":
		return o.bucket(ctx)
	case "upstream":
		return upstreams{o.upstreams, wiring.NewClient(p.Getenv, remote.Options{}), log}, nil
	}
	return nil, nil // the directory is the store's own
}

func (o storeOptions) reapi() (store.Place, error) {
	options := cas.Options{Key: cacheKey}
	if o.credentialHelper != "" {
		helpers, err := credential.Parse(o.credentialHelper, "")
		if err != nil {
			return nil, err
		}
		options.Credentials = helpers.Headers
	}
	cache, err := cas.Open(o.cache, options)
	if err != nil {
		return nil, err
	}
	return patient{cache}, nil
}

// cacheKey is the name of a blob in the cache: by BLAKE3 if that is what a push said.
func cacheKey(d oci.Descriptor) (cas.Key, bool) {
	if sum := d.Annotations[store.BLAKE3]; sum != "" {
		return cas.BLAKE3(func(oci.Digest) (string, bool) { return sum, true })(d)
	}
	return cas.SHA256(d)
}

func (o storeOptions) bucket(ctx context.Context) (store.Place, error) {
	bucket, err := s3.Open(ctx, o.s3)
	if err != nil {
		return nil, err
	}
	keeper := patientKeeper{patient{bucket}, blob.Retry{}.Sink(bucket)}
	if o.s3Keep {
		return keeper, nil
	}
	return patientDeleter{keeper, bucket}, nil
}
