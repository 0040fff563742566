package inspect

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/layer/estargz"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// opaque reads a blob that is nothing to look into.
func (v *validator) opaque(ctx context.Context, d oci.Descriptor) error {
	return v.blob(ctx, d, func(r io.Reader) error {
		_, err := io.Copy(io.Discard, blob.Reader(ctx, r))
		return err
	})
}

// blob reads a blob once, and whole, whatever do does with it.
func (v *validator) blob(ctx context.Context, d oci.Descriptor, do func(io.Reader) error) error {
	v.whole[d.Digest] = true
	r, err := blob.Verify("image", v.Source).Open(ctx, d)
	if err != nil {
		return v.trouble(ctx, d.Digest, err)
	}
	defer r.Close()
	err = do(r)
	if _, rest := io.Copy(io.Discard, blob.Reader(ctx, r)); rest != nil { // that the bytes are wrong is worse than what they say
		return v.trouble(ctx, d.Digest, rest)
	}
	v.Blobs++
	v.Bytes += d.Size
	if err != nil {
		v.wrong(d.Digest, "%v", err)
	}
	return nil
}

// layer checks a layer: its bytes, compression, diff ID, archive and index. Each is checked for each diff ID that it is said to have.
func (v *validator) layer(ctx context.Context, d oci.Descriptor, id oci.Digest) error {
	key := d.Digest + id
	if v.seen[key] {
		return nil
	}
	v.seen[key] = true
	if len(d.URLs) > 0 {
		v.odd(d.Digest, "is elsewhere, at %v, and was not read", d.URLs)
		return nil
	}
	if !isArchive(d.MediaType) {
		return v.opaque(ctx, d)
	}
	index, err := v.chunks(ctx, d)
	if err != nil {
		return err
	}
	var got unpacked
	files := map[string]File{}
	if err := v.blob(ctx, d, func(r io.Reader) error {
		return beside(index, r, func(r io.Reader) (err error) {
			got, err = unpack(ctx, r, func(f File) error {
				if index == nil {
					return nil
				}
				return v.keep(files, f)
			})
			return err
		})
	}); err != nil {
		return err
	}
	v.outcome(d, id, got, index, files)
	return nil
}

// outcome compares a layer that was read with what is said of it.
func (v *validator) outcome(d oci.Descriptor, id oci.Digest, got unpacked, index *chunkCheck, files map[string]File) {
	if got.diffID == "" {
		return // it could not be read, as was said
	}
	if id != "" && got.diffID != id {
		v.wrong(d.Digest, "has the diff ID %s, and the config says %s", got.diffID, id)
	}
	if want := compressionOf(d.MediaType); want != got.compression {
		v.wrong(d.Digest, "has the media type %s, and is %s", d.MediaType, cmp.Or(got.compression, "not compressed"))
	}
	if index == nil {
		return
	}
	for _, problem := range slices.Concat(index.problems, indexProblems(index.files, files)) {
		v.wrong(d.Digest, "index: %s", problem)
	}
}

func compressionOf(mediaType string) string {
	switch t := oci.ToOCI(mediaType); {
	case strings.HasSuffix(t, "gzip"):
		return "gzip"
	case strings.HasSuffix(t, "zstd"):
		return "zstd"
	}
	return ""
}

// keep remembers a file, to be compared with what the index says of it.
func (v *validator) keep(files map[string]File, f File) error {
	var l listing
	name := f.Path
	if err := v.add(&l, f); err != nil {
		return err
	}
	if clean(name) != estargz.Name {
		files[clean(name)] = l.files[0]
	}
	return nil
}

const maxProblems = 10 // of one index

// indexProblems are how an index tells of other files than there are.
func indexProblems(said, are map[string]File) (all []string) {
	names := maps.Clone(said)
	maps.Copy(names, are)
	for _, name := range sortedKeys(names) {
		a, inIndex := said[name]
		b, inLayer := are[name]
		switch {
		case len(all) == maxProblems:
			return append(all, "and more")
		case !inIndex:
			all = append(all, fmt.Sprintf("lacks /%s", printable(name)))
		case !inLayer:
			all = append(all, fmt.Sprintf("has /%s, which the layer has not", printable(name)))
		default:
			if what := differs(&a, &b); what != nil {
				all = append(all, fmt.Sprintf("says otherwise of /%s than the layer: %s", printable(name), strings.Join(what, ", ")))
			}
		}
	}
	return all
}

// chunkCheck decompresses each chunk on its own, as who mounts the layer does.
type chunkCheck struct {
	d        oci.Descriptor
	files    map[string]File
	all      []estargz.Chunk // by offset, with their sizes
	problems []string
	gzip     *gzip.Reader
	zstd     *zstd.Decoder
}

// chunks reads the index that a layer promises, or nothing.
func (v *validator) chunks(ctx context.Context, d oci.Descriptor) (*chunkCheck, error) {
	ranger, ok := v.Source.(blob.RangeOpener)
	if !ok || !estargz.Indexed(d) {
		return nil, nil
	}
	c := &chunkCheck{d: d, files: map[string]File{}}
	var last estargz.Entry
	for e, err := range estargz.Read(d, ranges(ctx, ranger, d)) {
		if err != nil {
			return nil, v.trouble(ctx, d.Digest, err)
		}
		if e.Type != "chunk" {
			last = e
			if err := v.keep(c.files, ofIndex(e)); err != nil {
				return nil, v.trouble(ctx, d.Digest, err)
			}
		}
		c.add(e, last)
	}
	slices.SortStableFunc(c.all, func(a, b estargz.Chunk) int { return cmp.Compare(a.Offset, b.Offset) })
	return c, nil
}

// add adds the chunk of an entry, which is of the file of.
func (c *chunkCheck) add(e, of estargz.Entry) {
	if (e.Type != "reg" && e.Type != "chunk") || e.ChunkDigest == "" || of.Size == 0 {
		return
	}
	if e.ChunkSize == 0 {
		e.ChunkSize = of.Size - e.ChunkOffset // what is left
	}
	if e.ChunkSize < 0 || e.Offset < 0 || e.Offset >= c.d.Size {
		c.problems = append(c.problems, fmt.Sprintf("/%s: a chunk is at %d, with %d bytes: that is not in the layer", printable(of.Name), e.Offset, e.ChunkSize))
		return
	}
	c.all = append(c.all, e.Chunk)
}

// beside gives a layer to do, and the same bytes to the check of its chunks, if there is one.
func beside(c *chunkCheck, r io.Reader, do func(io.Reader) error) error {
	if c == nil {
		return do(r)
	}
	pr, pw := io.Pipe()
	var both errgroup.Group
	both.Go(func() error { c.run(pr); return nil })
	err := do(io.TeeReader(r, pw))
	pw.CloseWithError(cmp.Or(err, io.EOF))
	both.Wait()
	return err
}

// run reads all of a layer.
func (c *chunkCheck) run(r io.Reader) {
	defer func() {
		io.Copy(io.Discard, r)
		if c.zstd != nil {
			c.zstd.Close()
		}
	}()
	var at int64
	for i, chunk := range c.all {
		if chunk.Offset < at { // several in one, which are found by what precedes them
			continue
		}
		if _, err := io.CopyN(io.Discard, r, chunk.Offset-at); err != nil {
			return // the layer ends, as is said elsewhere
		}
		end := c.d.Size
		if next := slices.IndexFunc(c.all[i:], func(x estargz.Chunk) bool { return x.Offset > chunk.Offset }); next > 0 {
			end = c.all[i+next].Offset
		}
		part := &io.LimitedReader{R: r, N: end - chunk.Offset}
		if err := c.check(part, chunk); err != nil && len(c.problems) < maxProblems {
			c.problems = append(c.problems, fmt.Sprintf("the chunk at %d: %v", chunk.Offset, err))
		}
		io.Copy(io.Discard, part)
		at = end
	}
}

var errOther = errors.New("is not the content that its digest names")

func (c *chunkCheck) check(r io.Reader, chunk estargz.Chunk) error {
	plain, err := c.decompress(r)
	if err != nil {
		return err
	}
	hash := sha256.New()
	if n, err := io.CopyN(hash, plain, chunk.ChunkSize); err != nil {
		return fmt.Errorf("ends after %d of %d bytes: %w", n, chunk.ChunkSize, err)
	}
	if oci.DigestOfSum(hash.Sum(nil)) != chunk.ChunkDigest {
		return errOther
	}
	return nil
}

// decompress starts a decoder, which is the same for all chunks.
func (c *chunkCheck) decompress(r io.Reader) (_ io.Reader, err error) {
	if compressionOf(c.d.MediaType) == "zstd" {
		if c.zstd == nil {
			c.zstd, err = zstd.NewReader(nil, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(1))
			if err != nil {
				return nil, err
			}
		}
		return c.zstd, c.zstd.Reset(r)
	}
	if c.gzip == nil {
		c.gzip = new(gzip.Reader)
	}
	return c.gzip, c.gzip.Reset(r)
}
