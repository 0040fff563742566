package main

import (
	"context"
	"io"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/layer/framecache"
	"github.com/bazel-contrib/rules_img/internal/worker"
)

// serve runs a build verb as a persistent worker. What a request writes to standard output and error is part of its answer, since the
// process's own standard output carries the answers.
func serve(ctx context.Context, p process, run func(context.Context, process) error) error {
	p.Cache = openFrameCache(p)
	return worker.Serve(ctx, p.Stdin, p.Stdout, func(ctx context.Context, r worker.Request, talk io.Writer) error {
		p := p
		p.Request, p.Dir, p.Inputs = lines(r.Arguments), r.Dir, r.Inputs
		p.Args, p.Stdin, p.Stdout, p.Stderr = nil, strings.NewReader(""), talk, talk
		err := run(ctx, p)
		if err != nil {
			complain(talk, err)
		}
		return err
	})
}

// lines put a request together: Bazel reads its file itself and sends each line as an argument.
func lines(arguments []string) io.Reader {
	return strings.NewReader(strings.Join(arguments, "\n") + "\n")
}

// frameCache is that of the worker or, in the hands of a person, of the user. An action that is a process of its own has none: it is given no
// HOME, and is not to write where it was not told to.
func (p process) frameCache() *framecache.Cache {
	if p.Cache == nil && (p.Getenv("HOME") != "" || p.Getenv(cacheVariable) != "") {
		return openFrameCache(p)
	}
	return p.Cache
}

// cacheVariable names a directory for the frame cache, or says off.
const cacheVariable = "IMG_FRAME_CACHE"

// openFrameCache opens the cache of the user whose process this is, who may have no HOME in the environment. Where it can't be, there is
// none.
func openFrameCache(p process) *framecache.Cache {
	dir := p.Getenv(cacheVariable)
	if dir == "" {
		dir = filepath.Join(userCache(p), "rules_img", "frames")
	}
	if !filepath.IsAbs(dir) { // off, or nowhere
		return nil
	}
	cache, err := framecache.Open(dir, framecache.DefaultLimit)
	if err != nil {
		return nil
	}
	return cache
}

// userCache is the directory for caches of the user, or empty.
func userCache(p process) string {
	if dir := p.Getenv("XDG_CACHE_HOME"); dir != "" {
		return dir
	}
	home := p.Getenv("HOME")
	if u, err := user.Current(); home == "" && err == nil {
		home = u.HomeDir
	}
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".cache")
}

// digests are those of a request's inputs that Bazel knows, by path. One that is no digest of a whole file is left out: Bazel
// has short ones for files whose content does not count.
func (p process) digests() map[string]string {
	known := make(map[string]string, len(p.Inputs))
	for _, in := range p.Inputs {
		if len(in.Digest) >= 64 {
			known[in.Path] = string(in.Digest)
		}
	}
	return known
}
