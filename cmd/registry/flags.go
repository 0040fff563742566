package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bazel-contrib/rules_img/cmd/internal/front"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// options are what the command line says.
type options struct {
	front.Options

	dir         string
	stores      storeOptions
	issueTokens bool
	tokenRealm  string

	maxManifest, maxBlob bytes
	maxUploads           int
	uploadAge            time.Duration
	stall, grace         time.Duration
	collectGrace         time.Duration
	collectInterval      time.Duration
	blobCache            bool
	grpcPort             int
	metrics              front.Metrics
	quiet                bool
}

func parseFlags(p process) (options, error) {
	o := options{Options: front.Options{Danger: "read and write everything"}, maxManifest: 4 << 20, maxBlob: 128 << 30}
	flags := flag.NewFlagSet("registry", flag.ContinueOnError)
	flags.SetOutput(p.Stderr)
	o.Add(flags, 8080)
	flags.BoolVar(&o.issueTokens, "issue-tokens", false, "tell clients to get a bearer token at /token, with their name and password, and to use that")
	flags.StringVar(&o.tokenRealm, "token-realm", "", "`URL` of /token as clients see it, when a proxy is between")
	flags.StringVar(&o.dir, "dir", "", "`directory` that keeps manifests and tags, and the blobs of the store dir")
	o.stores.add(flags)
	flags.BoolVar(&o.blobCache, "enable-blobcache", false, "serve, at --grpc-port, what $IMG_BLOB_CACHE_ENDPOINT of img names: by it pushes say which blobs are in the remote cache, instead of sending them")
	flags.IntVar(&o.grpcPort, "grpc-port", 8081, "`port` of --enable-blobcache, at the same address; 0 is any that is free")
	o.metrics.Add(flags)
	flags.Var(&o.maxManifest, "max-manifest-size", "largest manifest, in `bytes` or with KiB, MiB; at most 16MiB")
	flags.Var(&o.maxBlob, "max-blob-size", "largest blob, in `bytes` or with KiB, MiB, GiB; 0 is no limit")
	flags.IntVar(&o.maxUploads, "max-uploads", 1000, "`number` of uploads that may be unfinished; 0 is no limit")
	flags.DurationVar(&o.uploadAge, "upload-age", 24*time.Hour, "`time` for which an unfinished upload is kept after its last byte; 0 is for ever")
	flags.DurationVar(&o.stall, "stall-timeout", time.Minute, "`time` after which a transfer is given up in which no byte came or went")
	flags.DurationVar(&o.grace, "grace", 10*time.Second, "`time` for which requests may go on after a signal to stop")
	flags.DurationVar(&o.collectInterval, "collect-interval", time.Hour, "`time` after which blobs that nothing refers to are looked for again")
	flags.DurationVar(&o.collectGrace, "collect-grace", 24*time.Hour, "`time` for which a blob stays that no manifest refers to, after somebody last asked for it; 0 is for ever")
	flags.BoolVar(&o.quiet, "quiet", false, "log errors only, and not every request")
	if err := flags.Parse(p.Args); err != nil {
		return o, err
	}
	return o, o.check(flags.Args())
}

func (o options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q: want flags only", rest)
	case o.dir == "":
		return errors.New("want --dir DIRECTORY, which keeps everything")
	case o.maxManifest < 1 || o.maxManifest > oci.MaxManifestSize:
		return errors.New("--max-manifest-size: want 1 to 16MiB")
	case o.maxUploads < 0 || o.uploadAge < 0 || o.stall <= 0 || o.grace < 0:
		return errors.New("--max-uploads, --upload-age, --stall-timeout and --grace: want no negative numbers, and some time to stand still")
	case (o.issueTokens || o.tokenRealm != "") && !o.Authenticates():
		return errors.New("--issue-tokens and --token-realm: want --htpasswd or --token-file too, for who may have one")
	case o.tokenRealm != "" && !o.issueTokens:
		return errors.New("--token-realm: want --issue-tokens too")
	case o.collectGrace < 0 || o.collectInterval <= 0:
		return errors.New("--collect-grace and --collect-interval: want no negative times, and some time between two looks")
	case o.grpcPort < 0 || o.grpcPort > 65535:
		return fmt.Errorf("--grpc-port=%d: is none", o.grpcPort)
	}
	return cmp.Or(o.stores.check(), o.metrics.Check(), o.Check())
}

// bytes is a number of bytes as a flag.
type bytes int64

var units = []struct {
	suffix string
	factor int64
}{{"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}}

// String implements [flag.Value].
func (b *bytes) String() string {
	for _, unit := range slices.Backward(units) {
		if n := int64(*b); n > 0 && n%unit.factor == 0 {
			return strconv.FormatInt(n/unit.factor, 10) + unit.suffix
		}
	}
	return strconv.FormatInt(int64(*b), 10)
}

// Set implements [flag.Value].
func (b *bytes) Set(s string) error {
	for _, unit := range slices.Backward(units) { // the empty suffix last: it fits everything
		number, ok := strings.CutSuffix(s, unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/unit.factor {
			break
		}
		*b = bytes(n * unit.factor)
		return nil
	}
	return errors.New("want a number of bytes, such as 4194304 or 4MiB")
}
