package main

import (
	"os"
	"path/filepath"
)

// writeEntry writes the module's entry for a registry of modules. Bazel can use the release's folder itself as such a registry.
func (r *release) writeEntry() error {
	sum, err := digest(filepath.Join(r.out, r.archiveName()))
	if err != nil {
		return err
	}
	module, err := os.ReadFile(filepath.Join(r.root, "MODULE.bazel"))
	if err != nil {
		return err
	}
	folder := "modules/rules_img/"
	if err := r.write(folder+r.version+"/MODULE.bazel", module); err != nil {
		return err
	}
	err = r.writeJSON(folder+r.version+"/source.json", map[string]string{
		"integrity":    integrity(sum),
		"strip_prefix": r.name(),
		"url":          r.expanded(r.archiveName()),
	})
	if err != nil {
		return err
	}
	err = r.writeJSON(folder+"metadata.json", map[string]any{
		"homepage":        "https://github.com/bazel-contrib/rules_img",
		"maintainers":     []string{},
		"repository":      []string{"github:bazel-contrib/rules_img"},
		"versions":        []string{r.version},
		"yanked_versions": map[string]string{},
	})
	if err != nil {
		return err
	}
	return r.writeJSON("bazel_registry.json", struct{}{})
}
