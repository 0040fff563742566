package main

import (
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

	blobStore   string
	dir         string
	issueTokens bool
	tokenRealm  string

	maxManifest, maxBlob bytes
	maxUploads           int
	uploadAge            time.Duration
	stall, grace         time.Duration
	quiet                bool
}

func parseFlags(p process) (options, error) {
	o := options{Options: front.Options{Danger: "read and write everything"}, maxManifest: 4 << 20, maxBlob: 128 << 30}
	flags := flag.NewFlagSet("registry", flag.ContinueOnError)
	flags.SetOutput(p.Stderr)
	o.Add(flags, 8080)
	flags.BoolVar(&o.issueTokens, "issue-tokens", false, "tell clients to get a bearer token at /token, with their name and password, and to use that")
	flags.StringVar(&o.tokenRealm, "token-realm", "", "`URL` of /token as clients see it, when another server is between")
	flags.StringVar(&o.blobStore, "blob-store", "dir", "where blobs are kept; so far only `dir`")
	flags.StringVar(&o.dir, "dir", "", "`directory` that keeps everything")
	flags.Var(&o.maxManifest, "max-manifest-size", "largest manifest, in `bytes` or with KiB, MiB; at most 16MiB")
	flags.Var(&o.maxBlob, "max-blob-size", "largest blob, in `bytes` or with KiB, MiB, GiB; 0 is no limit")
	flags.IntVar(&o.maxUploads, "max-uploads", 1000, "`number` of uploads that may be unfinished; 0 is no limit")
	flags.DurationVar(&o.uploadAge, "upload-age", 24*time.Hour, "`time` for which an unfinished upload is kept after its last byte; 0 is for ever")
	flags.DurationVar(&o.stall, "stall-timeout", time.Minute, "`time` for which a client may stand still")
	flags.DurationVar(&o.grace, "grace", 10*time.Second, "`time` for which requests may go on after a signal to stop")
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
	case o.blobStore != "dir":
		return fmt.Errorf("--blob-store=%s: there is only dir so far", o.blobStore)
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
	}
	return o.Check()
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
