package request

import "path/filepath"

// In makes the relative paths of records begin in a directory: that of a sandbox, which a worker that does several requests at a time
// can't make its working directory. An empty one is that.
func In[R any, P interface {
	*R
	in(dir string)
}](dir string, each func(R) error) func(R) error {
	return func(r R) error {
		P(&r).in(dir)
		return each(r)
	}
}

func (r *FileRecord) in(dir string)  { r.From = Join(dir, r.From) }
func (r *LayerRecord) in(dir string) { r.From = Join(dir, r.From) }
func (r *PlanRecord) in(dir string)  { r.From = Join(dir, r.From) }

// Join is where a path of a request is, when its relative ones begin in a directory.
func Join(dir, path string) string {
	if dir == "" || path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
