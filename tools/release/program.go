package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// platform is what a program runs on, in Go's and OCI's words.
type platform struct{ os, cpu string }

const every = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64"

func parsePlatforms(list string) ([]platform, error) {
	var all []platform
	for _, p := range strings.Split(list, ",") {
		os, cpu, _ := strings.Cut(p, "/")
		if !strings.Contains(","+every+",", ","+p+",") {
			return nil, fmt.Errorf("--platforms: there is no %q: want some of %s", p, every)
		}
		all = append(all, platform{os, cpu})
	}
	return all, nil
}

func (p platform) String() string { return p.os + "/" + p.cpu }

// extension is what the names of programs end in.
func (p platform) extension() string {
	if p.os == "windows" {
		return ".exe"
	}
	return ""
}

// file is what a program is called in a release.
func (p platform) file(program string) string {
	return program + "_" + p.os + "_" + p.cpu + p.extension()
}

// go_ runs Go for the platform. What the environment could change in a program is set; where Go gets modules is left alone.
func (r *release) go_(p platform, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = r.root
	cmd.Env = append(os.Environ(), "GOOS="+p.os, "GOARCH="+p.cpu, "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off",
		"GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "GOFIPS140=off", "GODEBUG=")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s for %s: %w", args[0], p, err)
	}
	return string(out), nil
}

// programs are the names of the commands of the checkout.
func programs(root string) ([]string, error) {
	r := &release{root: root}
	out, err := r.go_(platform{"linux", "amd64"}, "list", "-f", `{{if eq .Name "main"}}{{.ImportPath}}{{end}}`, "./cmd/...")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, path := range strings.Fields(out) {
		names = append(names, path[strings.LastIndex(path, "/")+1:])
	}
	return names, nil
}

// vet looks at the code of each system, most of which no test on this machine runs.
func (r *release) vet() error {
	seen := map[string]bool{}
	for _, p := range r.platforms {
		if seen[p.os] || !r.vets {
			continue
		}
		seen[p.os] = true
		if _, err := r.go_(p, "vet", "./cmd/...", "./internal/..."); err != nil {
			return err
		}
	}
	return nil
}

// build builds each program for each platform, as a consumer's machine would that builds from source.
func (r *release) build() error {
	for _, p := range r.platforms {
		for _, program := range r.programs {
			_, err := r.go_(p, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", filepath.Join(r.out, p.file(program)), "./cmd/"+program)
			if err != nil {
				return err
			}
		}
	}
	return nil
}
