package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/layer"
	"github.com/bazel-contrib/rules_img/internal/layer/framecache"
	"github.com/bazel-contrib/rules_img/internal/manifest"
	"github.com/bazel-contrib/rules_img/internal/request"
)

func runLayer(ctx context.Context, p process) error {
	f, err := openRequest(p)
	if err != nil {
		return err
	}
	defer f.Close()
	in := layerInput{annotations: map[string]string{}, cache: p.frameCache()}
	in.contents.Dir, in.contents.Digests = p.Dir, p.digests()
	h, err := request.ReadLayer(f, request.In(p.Dir, in.record))
	if err != nil {
		return fmt.Errorf("layer %s: %w", h.Name, err)
	}
	if err := in.write(ctx, h); err != nil {
		return fmt.Errorf("layer %s: %w", h.Name, err)
	}
	return nil
}

// layerInput gathers the records of a request.
type layerInput struct {
	contents       layer.Contents
	annotations    map[string]string // of the file
	blob, metadata string
	cache          *framecache.Cache
}

func (in *layerInput) record(r request.LayerRecord) error {
	at := path.Join("/", r.Under) + "/" + r.Path
	switch r.Type {
	case request.LayerBlob:
		in.blob = r.From
		return nil
	case request.LayerMetadata:
		in.metadata = r.From
		return nil
	case request.LayerFile:
		if r.Into {
			return in.contents.AddInto(at, r.From)
		}
		return in.contents.AddFile(at, r.From)
	case request.LayerEmpty:
		return in.contents.AddEmpty(at)
	case request.LayerSymlink:
		return in.contents.AddSymlink(at, r.Target)
	case request.LayerAnnotations:
		return readAnnotations(r.From, in.annotations)
	}
	return fmt.Errorf("record of unknown type %q", r.Type)
}

func (in *layerInput) write(ctx context.Context, h request.Layer) error {
	switch h.TreeArtifacts {
	case "full":
	case "deduplicate_symlink":
		in.contents.LinkTrees = true
	default:
		return fmt.Errorf("tree_artifact_handling: %q: want full or deduplicate_symlink", h.TreeArtifacts)
	}
	o, err := layerOptions(h)
	if err != nil {
		return err
	}
	o.Cache = in.cache
	in.contents.CreateParents = h.CreateParents
	if h.DefaultMetadata != nil {
		in.contents.Default = attributes(*h.DefaultMetadata)
	}
	in.contents.Files = map[string]layer.Attributes{}
	for p, m := range h.FileMetadata {
		in.contents.Files[p] = attributes(m)
	}
	entries, err := in.contents.Entries(ctx)
	if err != nil {
		return err
	}
	result, err := writeBlob(in.blob, h.FurtherDigest, func(w io.Writer) (layer.Result, error) { return layer.Write(ctx, w, entries, o) })
	if err != nil {
		return err
	}
	return writeLayerMetadata(in.metadata, h.Name, result, h.Annotations, in.annotations)
}

func layerOptions(h request.Layer) (o layer.Options, err error) {
	if o.Format, err = layer.ParseFormat(h.Compress); err != nil {
		return o, err
	}
	if o.Level, err = o.Format.ParseLevel(h.Level); err != nil {
		return o, err
	}
	o.Estargz = h.Estargz
	switch h.Jobs {
	case "auto": // more would only wait for the digest of the stream, and each takes memory
		o.Jobs = min(8, runtime.GOMAXPROCS(0))
	case "nproc":
		o.Jobs = runtime.GOMAXPROCS(0)
	default:
		if o.Jobs, err = strconv.Atoi(h.Jobs); err != nil || o.Jobs < 1 || o.Jobs > 1024 {
			return o, fmt.Errorf("compression_jobs: %q: want auto, nproc or a number from 1 to 1024", h.Jobs)
		}
	}
	return o, nil
}

// made is a layer and the further digest that was asked for.
type made struct {
	layer.Result
	blake3 string
}

func writeBlob(path, furtherDigest string, write func(io.Writer) (layer.Result, error)) (result made, err error) {
	sum, err := newFurtherDigest(furtherDigest)
	if err != nil {
		return result, err
	}
	err = writeWhole(path, func(f *os.File) (err error) {
		result.Result, err = write(sum.tee(f))
		return err
	})
	result.blake3 = sum.String()
	return result, err
}

// writeLayerMetadata writes what rules and verbs know of a layer. Later annotations win over earlier ones, and those that say
// where its index is over all.
func writeLayerMetadata(path, name string, r made, annotations ...map[string]string) error {
	merged := map[string]string{}
	for _, a := range append(annotations, r.Annotations) {
		maps.Copy(merged, a)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(manifest.Layer{
		Name: name, MediaType: r.MediaType, Digest: r.Digest, Size: r.Size, DiffID: r.DiffID, Annotations: merged, BLAKE3: r.blake3,
	})
	if err != nil {
		return err
	}
	return writeFile(path, b.Bytes())
}

func attributes(m request.Metadata) layer.Attributes {
	return layer.Attributes{
		Mode: m.Mode, UID: m.UID, GID: m.GID, Uname: m.Uname, Gname: m.Gname, Mtime: m.Mtime, PAXRecords: m.PAXRecords,
	}
}

// readAnnotations reads lines of KEY=VALUE. Empty lines are left out.
func readAnnotations(path string, to map[string]string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = eachLine(f, func(line string) error {
		if line == "" {
			return nil
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || key == "" {
			return fmt.Errorf("%q: want KEY=VALUE", line)
		}
		to[key] = value
		return nil
	})
	if err != nil {
		return fmt.Errorf("annotations_file: %w", err)
	}
	return nil
}
