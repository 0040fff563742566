package layer

import (
	"fmt"
	"strconv"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Format is how a layer is compressed.
type Format string

// The formats.
const (
	None Format = "none"
	Gzip Format = "gzip"
	Zstd Format = "zstd"
)

// MediaType is the OCI media type of layers of the format.
func (f Format) MediaType() string {
	switch f {
	case Gzip:
		return oci.MediaTypeLayerGzip
	case Zstd:
		return oci.MediaTypeLayerZstd
	}
	return oci.MediaTypeLayer
}

// ParseFormat reads the name of a format.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case None, Gzip, Zstd:
		return f, nil
	}
	return "", fmt.Errorf("compress: %q: want gzip, zstd or none", s)
}

var named = map[Format]map[string]int{
	Gzip: {"fastest": 1, "default": -1, "best": 9},
	Zstd: {"fastest": 1, "default": 2, "best": 4},
}

// ParseLevel reads a level of the format: a name or a number.
func (f Format) ParseLevel(s string) (int, error) {
	if f == None {
		return 0, nil
	}
	if n, ok := named[f][s]; ok {
		return n, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("compression_level: %q: want fastest, default, best or a number", s)
	}
	_, err = Options{Format: f, Level: n}.encoding()
	return n, err
}
