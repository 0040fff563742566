package request

import (
	"io"
	"strings"
	"testing"
)

// readers decode each kind of request.
func readers() map[string]func(io.Reader) (Header, error) {
	return map[string]func(io.Reader) (Header, error){
		"blob": func(r io.Reader) (Header, error) { return headerOf(ReadBlob(r, ignore[FileRecord])) },
		"from-oci-layout": func(r io.Reader) (Header, error) {
			return headerOf(ReadFromOCILayout(r, ignore[FromOCILayoutRecord]))
		},
		"index": func(r io.Reader) (Header, error) { return headerOf(ReadIndex(r, ignore[FileRecord])) },
		"layer": func(r io.Reader) (Header, error) { return headerOf(ReadLayer(r, ignore[LayerRecord])) },
		"layer-from-tar": func(r io.Reader) (Header, error) {
			return headerOf(ReadLayerFromTar(r, ignore[FileRecord]))
		},
		"layout":   func(r io.Reader) (Header, error) { return headerOf(ReadLayout(r, ignore[LayoutRecord])) },
		"manifest": func(r io.Reader) (Header, error) { return headerOf(ReadManifest(r, ignore[FileRecord])) },
		"plan":     func(r io.Reader) (Header, error) { return headerOf(ReadPlan(r, ignore[PlanRecord])) },
	}
}

func ignore[R any](R) error { return nil }

func headerOf[H interface{ header() Header }](h H, err error) (Header, error) { return h.header(), err }

func (h Header) header() Header { return h }

// FuzzEveryKind gives a request to the decoders of all kinds: at most the one of its own takes it, and errors name the line.
func FuzzEveryKind(f *testing.F) {
	for kind := range readers() {
		f.Add(`{"kind":"` + kind + `","version":1,"name":"//a:b"}` + "\n" + `{"type":"root","from":"x"}`)
	}
	f.Add(`{"kind":"manifest","version":1,"name":"//a:b","templates":{"settings":{"a":"b"},"stamp":true},"env":{"A":"{{.b}}"},"platform":"linux/amd64"}`)
	f.Fuzz(func(t *testing.T, s string) {
		for kind, read := range readers() {
			h, err := read(strings.NewReader(s))
			if err == nil && (h.Kind != kind || h.Version != 1) {
				t.Errorf("%s took %+v", kind, h)
			}
			if err != nil && !strings.Contains(err.Error(), "line ") && !strings.Contains(err.Error(), "empty") {
				t.Errorf("%s: error without a line: %v", kind, err)
			}
		}
	})
}
