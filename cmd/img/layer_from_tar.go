package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/bazel-contrib/rules_img/internal/layer"
	"github.com/bazel-contrib/rules_img/internal/layer/archive"
	"github.com/bazel-contrib/rules_img/internal/request"
)

func runLayerFromTar(ctx context.Context, p process) error {
	f, err := openRequest(p)
	if err != nil {
		return err
	}
	defer f.Close()
	files := outputs{}
	h, err := request.ReadLayerFromTar(f, request.In(p.Dir, func(r request.FileRecord) error {
		switch r.Type {
		case request.TarSource, request.TarBlob, request.TarMetadata:
			files[r.Type] = r.From
			return nil
		}
		return fmt.Errorf("record of unknown type %q", r.Type)
	}))
	if err != nil {
		return err
	}
	if err := layerFromTar(ctx, h, files); err != nil {
		return fmt.Errorf("layer %s: %w", h.Name, err)
	}
	return nil
}

func layerFromTar(ctx context.Context, h request.LayerFromTar, files outputs) error {
	a, err := archive.Open(files[request.TarSource])
	if err != nil {
		return err
	}
	if source, err := layer.ParseFormat(h.Source); err != nil || a.Format() != source {
		return errors.Join(err, fmt.Errorf("%s: its name says that its compression is %s, and its content that it is %s", files[request.TarSource], h.Source, a.Format()))
	}
	var result made
	if blob, ok := files[request.TarBlob]; ok {
		result, err = fromTarTo(ctx, blob, a, h)
	} else {
		result, err = describeTar(ctx, a, h, files[request.TarSource])
	}
	if err != nil {
		return err
	}
	if h.MediaType != "" {
		result.MediaType = h.MediaType
	}
	return writeLayerMetadata(files[request.TarMetadata], h.Name, result, h.Annotations)
}

// describeTar describes an archive that is the blob itself.
func describeTar(ctx context.Context, a *archive.Archive, h request.LayerFromTar, path string) (result made, err error) {
	sum, err := newFurtherDigest(h.FurtherDigest)
	if err != nil {
		return result, err
	}
	if result.Result, err = a.Inspect(ctx); err != nil {
		return result, err
	}
	err = sum.read(ctx, path)
	result.blake3 = sum.String()
	return result, err
}

// fromTarTo writes a blob. Contents of an archive that is taken apart may need a file beside it for a while.
func fromTarTo(ctx context.Context, blob string, a *archive.Archive, h request.LayerFromTar) (result made, err error) {
	o, err := layerOptions(request.Layer{Compress: h.Compress, Level: h.Level, Jobs: h.Jobs, Estargz: h.Estargz})
	if err != nil {
		return result, err
	}
	return writeBlob(blob, h.FurtherDigest, func(w io.Writer) (layer.Result, error) {
		if !h.Optimize && !h.Estargz {
			return a.Recompress(ctx, w, o)
		}
		spool, err := os.CreateTemp(filepath.Dir(blob), ".contents-*")
		if err != nil {
			return layer.Result{}, err
		}
		defer os.Remove(spool.Name())
		defer spool.Close()
		entries, err := a.Entries(ctx, spool)
		if err != nil {
			return layer.Result{}, err
		}
		return layer.Write(ctx, w, entries, o)
	})
}
