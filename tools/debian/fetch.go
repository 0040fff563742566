package debian

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// fetch downloads the packages that are not in the directory yet, by the machine's apt with a state of its own.
func fetch(ctx context.Context, debs string) error {
	var wanted []string
	for _, architecture := range Architectures {
		for _, g := range groups {
			for _, name := range g.packages {
				if _, err := find(debs, name, g.architecture(architecture)); err != nil {
					wanted = append(wanted, g.aptName(name, architecture))
				}
			}
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	if err := os.MkdirAll(debs, 0o755); err != nil {
		return err
	}
	return download(ctx, debs, wanted)
}

// download fetches into a folder beside debs, so that a download that was broken off leaves nothing that looks whole.
func download(ctx context.Context, debs string, wanted []string) error {
	scratch, err := os.MkdirTemp(debs, ".fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	apt := filepath.Join(scratch, "apt")
	script := filepath.Join(sourceDirectory(), "private-apt")
	if err := run(ctx, scratch, script, append([]string{apt, Suite}, Architectures...)...); err != nil {
		return err
	}
	args := append([]string{"-qq", "-c", filepath.Join(apt, "apt.conf"), "download"}, wanted...)
	if err := run(ctx, scratch, "apt-get", args...); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(scratch, "*.deb"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Rename(f, filepath.Join(debs, filepath.Base(f))); err != nil {
			return err
		}
	}
	return nil
}

func run(ctx context.Context, folder, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(program), err, out)
	}
	return nil
}

func (g group) architecture(a string) string {
	if g.all {
		return "all"
	}
	return a
}

func (g group) aptName(name, architecture string) string {
	if g.all {
		return name
	}
	return name + ":" + architecture
}

// find returns the file of a package. Of several versions it is the last by name, always the same one.
func find(debs, name, architecture string) (string, error) {
	files, err := filepath.Glob(filepath.Join(debs, name+"_*_"+architecture+".deb"))
	if err == nil && len(files) == 0 {
		err = errors.New("is not there")
	}
	if err != nil {
		return "", fmt.Errorf("%s: package %s for %s: %w", debs, name, architecture, err)
	}
	return files[len(files)-1], nil
}

// version is the version in the name of a package's file.
func version(deb string) string {
	parts := strings.Split(filepath.Base(deb), "_")
	return strings.ReplaceAll(parts[1], "%3a", ":")
}

// sourceDirectory is where this package's sources are: it runs in a checkout, by go run or go test.
func sourceDirectory() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}
