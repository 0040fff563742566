package pull

import (
	"context"
	"io"
	"time"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// patient gives up a source that sends nothing for the given time. You want it while there is another source to ask; 0 waits
// as long as the source does.
func patient(source blob.Source, wait time.Duration) blob.Source {
	if wait == 0 {
		return source
	}
	return blob.SourceFunc(func(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
		ctx, cancel := context.WithCancelCause(ctx)
		timer := time.AfterFunc(wait, func() { cancel(errTooLong) })
		r, err := source.Open(ctx, d)
		timer.Stop()
		if err != nil {
			defer cancel(nil)
			return nil, impatient(ctx, err)
		}
		return &patientReader{r, ctx, cancel, timer, wait}, nil
	})
}

type patientReader struct {
	io.ReadCloser
	ctx    context.Context // of the answer that is read
	cancel context.CancelCauseFunc
	timer  *time.Timer
	wait   time.Duration
}

func (r *patientReader) Read(p []byte) (int, error) {
	r.timer.Reset(r.wait)
	n, err := r.ReadCloser.Read(p)
	r.timer.Stop() // the reader may take its time
	if err != nil && err != io.EOF {
		err = impatient(r.ctx, err)
	}
	return n, err
}

func (r *patientReader) Close() error {
	r.timer.Stop()
	defer r.cancel(nil)
	return r.ReadCloser.Close()
}
