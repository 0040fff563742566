// Package deploy sends images where they run. A [Plan], made by a build, says what goes where and where each
// blob is to be found; [Push] carries it out as one copy of a graph of blobs.
//
// The law: a plan is pure. It holds no credential, no absolute path and no time, so the same build makes the same
// plan everywhere; what differs from machine to machine comes in when it is carried out.
package deploy

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// MaxSize is how many bytes a plan may have, which takes some 300 for each blob.
const MaxSize = 64 << 20

// Version is the version of the plan's format, docs/formats/plan.md.
const Version = 1

// Plan says what to deploy.
type Plan struct {
	Version int `json:"version"`
	// Name is the label of the target that made the plan.
	Name       string      `json:"name"`
	Operations []Operation `json:"operations"`
	// Blobs are all that the operations' roots need.
	Blobs []Blob `json:"blobs"`
	// Bases are where blobs without a file can be pulled from.
	Bases []Base `json:"bases,omitempty"`
	// Caches are where the build may have left blobs.
	Caches []Cache `json:"caches,omitempty"`
	// AuthFile is where credentials for registries are on the machine that runs the plan, unless its environment says so.
	AuthFile string `json:"auth_file,omitempty"`
}

// The kinds of operations.
const (
	KindPush = "push"
	KindLoad = "load"
)

// Operation sends one image to one place.
type Operation struct {
	// Kind is one of the kinds above.
	Kind string `json:"kind"`
	// Name is the label of the target that asked for it, for messages.
	Name string         `json:"name"`
	Root oci.Descriptor `json:"root"`
	// Registry and Repository are where a push goes.
	Registry   string `json:"registry,omitempty"`
	Repository string `json:"repository,omitempty"`
	// Daemon is who loads: "docker", "containerd", "podman" or "generic".
	Daemon string `json:"daemon,omitempty"`
	// Tags are the tags of a push, or the names of a load, such as "app:latest".
	Tags []string `json:"tags,omitempty"`
	// Strategy is where the bytes of layers come from: "eager", "lazy", and for a push "cas_registry" or "bes".
	Strategy string `json:"strategy"`
}

// Blob is one blob of an image.
type Blob struct {
	oci.Descriptor
	// File is where its bytes are, relative to the runfiles directory; empty when they are not at hand.
	File string `json:"file,omitempty"`
	// Output is where the build left it if it was not left in a cache alone, relative to the execution root; empty for what it did not make.
	Output string `json:"output,omitempty"`
	// BLAKE3 is its name in the caches of a build with that digest function.
	BLAKE3 string `json:"blake3,omitempty"`
}

// Cache is where Bazel may keep what it built, as the user told it: by options of these names. %workspace% and ~ stand
// for what they are on the machine that carries the plan out.
type Cache struct {
	Remote           string `json:"remote_cache,omitempty"`
	Disk             string `json:"disk_cache,omitempty"`
	CredentialHelper string `json:"credential_helper,omitempty"`
}

// Base is an image that another stands on: a place to pull from.
type Base struct {
	Registries []string `json:"registries"`
	Repository string   `json:"repository"`
	Digest     string   `json:"digest,omitempty"`
}

// Parse reads a plan.
func Parse(b []byte) (Plan, error) {
	if err := checkVersion(b); err != nil {
		return Plan{}, fmt.Errorf("plan: %w", err)
	}
	var p Plan
	if err := json.Unmarshal(b, &p); err != nil {
		return Plan{}, fmt.Errorf("plan: %w", err)
	}
	for _, o := range p.Operations {
		if err := check(o.Root); err != nil {
			return Plan{}, fmt.Errorf("plan of %s: root: %w", p.Name, err)
		}
	}
	for _, b := range p.Blobs {
		if err := b.check(); err != nil {
			return Plan{}, fmt.Errorf("plan of %s: %w", p.Name, err)
		}
	}
	return p, nil
}

func check(d oci.Descriptor) error {
	if d.Size < 0 {
		return fmt.Errorf("%s has a size of %d bytes", d.Digest, d.Size)
	}
	_, err := oci.ParseDigest(string(d.Digest))
	return err
}

// check is about what may become a path: a service for build events gets plans from whoever may build.
func (b Blob) check() error {
	if err := check(b.Descriptor); err != nil {
		return fmt.Errorf("blobs: %w", err)
	}
	for _, path := range []string{b.File, b.Output} {
		if path != "" && !filepath.IsLocal(filepath.FromSlash(path)) {
			return fmt.Errorf("blob %s: %q leads out of where the build leaves files", b.Digest, path)
		}
	}
	return nil
}

// checkVersion looks at nothing else, since what else another version has may be of other types.
func checkVersion(b []byte) error {
	var v struct{ Version int }
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	advice := "build the target again"
	if v.Version > Version {
		advice = "it takes an img, or a bes, as new as the rules that made it"
	}
	if v.Version != Version {
		return fmt.Errorf("has version %d and this img reads version %d: %s", v.Version, Version, advice)
	}
	return nil
}

// Encode writes the plan, unless nobody would read it.
func (p Plan) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return nil, err
	}
	if len(b) >= MaxSize {
		return nil, fmt.Errorf("plan of %s: would have more than the %d bytes that a plan may have: split what it deploys into several targets", p.Name, MaxSize)
	}
	return append(b, '\n'), nil
}
