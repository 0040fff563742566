package layout

import (
	"context"
	"os"
	"path/filepath"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/blob/dir"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Directory says how to write one. The zero value makes a durable copy.
type Directory struct {
	// Link makes the blobs hard links to files of the source that are outputs (see [IsOutput]), where that can be.
	Link bool
	// Volatile leaves out waiting for the disk, as in an action's output.
	Volatile bool
	// Leave, if set, says of blobs to leave out, as layers that are not at hand. Most tools then can't use the layout.
	Leave func(oci.Descriptor) bool
}

// WriteDirectory writes images, whose bytes source has, to the directory path, which may be there already: blobs are
// added, and index.json is replaced.
func WriteDirectory(ctx context.Context, path string, source blob.Source, o Directory, images ...Image) (blob.Report, error) {
	to := dir.Store{Root: path, Volatile: o.Volatile}
	if o.Link {
		to.Link = IsOutput
	}
	if err := os.MkdirAll(filepath.Join(path, "blobs", "sha256"), 0o755); err != nil {
		return blob.Report{}, err
	}
	report, err := blob.Copy(ctx, lacksAll{to}, source, blob.CopyOptions{Leave: o.Leave}, roots(images)...)
	if err != nil {
		return report, err
	}
	index, err := encodeIndex(images)
	if err != nil {
		return report, err
	}
	if err := replace(filepath.Join(path, "oci-layout"), []byte(layoutFile)); err != nil {
		return report, err
	}
	return report, replace(filepath.Join(path, "index.json"), index)
}

// lacksAll says that manifests are missing even if the directory has them: this or another tool may have left out what
// is below them. Put finds what is there.
type lacksAll struct{ dir.Store }

func (s lacksAll) Missing(ctx context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error) {
	var missing []oci.Descriptor
	for _, d := range ds {
		if !oci.IsManifest(d.MediaType) {
			lacks, err := s.Store.Missing(ctx, d)
			if err != nil {
				return nil, err
			}
			missing = append(missing, lacks...)
			continue
		}
		missing = append(missing, d)
	}
	return missing, nil
}

func replace(path string, body []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".write-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(body); err != nil {
		f.Close()
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
