package oci

import (
	"fmt"
	"strings"
)

// DockerHub is the registry of references that name none.
const DockerHub = "index.docker.io"

// maxName is how long registry, slash and repository may be together, by the distribution specification.
const maxName = 255

// Reference names an image in a registry. Registry and Repository are always there; Tag and Digest may both be empty.
type Reference struct {
	Registry   string // host or host:port
	Repository string
	Tag        string
	Digest     Digest
}

// ParseReference reads "[registry/]repository[:tag][@digest]" by the rules of Docker: the first part is a registry
// if it has a dot, a port or a capital letter or is "localhost"; otherwise the registry is Docker Hub, where a
// repository of one part belongs to "library". No tag is made up.
func ParseReference(s string) (Reference, error) {
	ref, err := parseReference(s)
	if err != nil {
		return Reference{}, fmt.Errorf("reference %q: %w", s, err)
	}
	return ref, nil
}

// NewReference makes a reference of a registry (Docker Hub when empty) and a repository that are known apart. Docker Hub has no repository whose
// first part has a dot or a colon, so there it is taken for a registry that was not set apart.
func NewReference(registry, repository string) (Reference, error) {
	ref := canonical(registry, repository)
	if host, rest, ok := strings.Cut(repository, "/"); ok && ref.Registry == DockerHub && strings.ContainsAny(host, ".:") {
		return Reference{}, fmt.Errorf("repository %q begins with a registry: set registry %q and repository %q", repository, host, rest)
	}
	if err := ref.check(); err != nil {
		return Reference{}, fmt.Errorf("reference %q: %w", ref.Name(), err)
	}
	return ref, nil
}

// Name is the reference without tag and digest.
func (r Reference) Name() string { return r.Registry + "/" + r.Repository }

// String is the reference in full, as [ParseReference] reads it.
func (r Reference) String() string {
	s := r.Name()
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + string(r.Digest)
	}
	return s
}

func parseReference(s string) (Reference, error) {
	rest, digest, hasDigest := strings.Cut(s, "@")
	name, tag, hasTag := cutTag(rest)
	ref := canonical(splitRegistry(name))
	if hasDigest {
		d, err := ParseDigest(digest)
		if err != nil {
			return Reference{}, err
		}
		ref.Digest = d
	}
	if hasTag {
		if err := CheckTag(tag); err != nil {
			return Reference{}, err
		}
		ref.Tag = tag
	}
	return ref, ref.check()
}

// cutTag cuts at the last colon, unless a slash follows: then it is the colon of a port.
func cutTag(s string) (name, tag string, found bool) {
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.Contains(s[i:], "/") {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

func splitRegistry(name string) (registry, repository string) {
	first, rest, ok := strings.Cut(name, "/")
	if ok && (first == "localhost" || strings.ContainsAny(first, ".:") || strings.ToLower(first) != first) {
		return first, rest
	}
	return "", name
}

func canonical(registry, repository string) Reference {
	switch registry {
	case "", "docker.io", DockerHub:
		registry = DockerHub
		if repository != "" && !strings.Contains(repository, "/") {
			repository = "library/" + repository
		}
	}
	return Reference{Registry: registry, Repository: repository}
}

func (r Reference) check() error {
	if err := checkRegistry(r.Registry); err != nil {
		return err
	}
	if err := CheckRepository(r.Repository); err != nil {
		return err
	}
	if n := len(r.Name()); n > maxName {
		return fmt.Errorf("registry and repository have %d characters: at most %d are allowed", n, maxName)
	}
	return nil
}
