// Package request is the contract between the rules and the tool. A request is a file of JSON Lines that
// Bazel writes when it runs an action: a header with the kind, the version and all that the rules know at
// analysis, then one record a line for what they know only as depsets of files. A request alone repeats its action:
//
//	img layer @bazel-out/…/layer.request
//
// Its entry point is [Read]; one file for each kind declares the types. The law: decoding is strict. A key or a
// version that this tool does not know is an error that names the line, since the rules and the tool are
// released together and a difference means that they were mixed.
package request

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds one line. The longest records hold a symlink's target or a label's annotations; 16 MiB is
// far beyond either.
const maxLine = 16 << 20

// Header is embedded in the header of every kind.
type Header struct {
	// Kind is the verb that the request is for: "layer", "manifest", …
	Kind string `json:"kind"`
	// Version is the version of that kind's format.
	Version int `json:"version"`
}

// Read decodes a request of the kind and version that want names: the first line into header, which embeds
// [Header], and each later line into a new R that is handed to each. An error from each is returned with the
// number of its line.
func Read[R any](r io.Reader, want Header, header any, each func(R) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	if !lines.Scan() {
		if err := scanned(lines); err != nil {
			return atLine(1, err)
		}
		return errors.New("request is empty: want a header line")
	}
	if err := decodeHeader(lines.Bytes(), want, header); err != nil {
		return atLine(1, err)
	}
	batches, stop := make(chan batch[R], 4), make(chan struct{})
	go decode(lines, batches, stop)
	defer func() { // when it returns, nothing reads any more
		close(stop)
		for range batches {
		}
	}()
	for b := range batches {
		for i, rec := range b.records {
			if err := each(rec); err != nil {
				return atLine(b.first+i, err)
			}
		}
		if b.err != nil {
			return atLine(b.first+len(b.records), b.err)
		}
	}
	return nil
}

// scanned is why there are no more lines.
func scanned(lines *bufio.Scanner) error {
	err := lines.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		err = fmt.Errorf("has more than the %d bytes that a line may have", maxLine-1)
	}
	return err
}

func atLine(n int, err error) error { return fmt.Errorf("request line %d: %w", n, err) }

// batch is a run of records. They are decoded ahead, since a layer can have hundreds of thousands, and each is looked at on the disk.
type batch[R any] struct {
	first   int // its line
	records []R
	err     error // of the line after the last
}

// decode sends the records that are left of lines.
func decode[R any](lines *bufio.Scanner, to chan<- batch[R], stop <-chan struct{}) {
	defer close(to)
	for n := 2; ; {
		b := batch[R]{first: n}
		more := b.fill(lines)
		n += len(b.records)
		select {
		case to <- b:
		case <-stop:
			return
		}
		if !more {
			return
		}
	}
}

// fill decodes lines and reports whether there may be more.
func (b *batch[R]) fill(lines *bufio.Scanner) bool {
	for range 256 {
		if !lines.Scan() {
			b.err = scanned(lines)
			return false
		}
		n := len(b.records)
		b.records = append(b.records, *new(R))
		if b.err = decodeRecord(lines.Bytes(), &b.records[n]); b.err != nil {
			b.records = b.records[:n]
			return false
		}
	}
	return true
}

func decodeRecord[R any](line []byte, to *R) error {
	if r, ok := any(to).(plainRecord); ok && r.plain(line) {
		return nil
	}
	*to = *new(R)
	return strict(line, to)
}

// decodeHeader looks at the version before the rest, so that a request of another version is reported as that
// and not as an unknown key.
func decodeHeader(b []byte, want Header, header any) error {
	var got Header
	if err := json.Unmarshal(b, &got); err != nil {
		return err
	}
	if got.Kind != want.Kind {
		return fmt.Errorf("is a request of kind %q: want %q", got.Kind, want.Kind)
	}
	if got.Version != want.Version {
		return fmt.Errorf("has version %d and this img reads version %d: use the img that belongs to these rules", got.Version, want.Version)
	}
	return strict(b, header)
}

// strict decodes exactly one JSON value without unknown keys.
func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("has more than one JSON value")
	}
	return nil
}
