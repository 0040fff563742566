package daemon

import (
	"fmt"
	"strings"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Name is what to call an image in a daemon.
type Name struct {
	ref      oci.Reference
	explicit bool // the registry was written
}

// ParseName reads a name as `docker tag` takes it: [registry/]repository[:tag][@digest]. Without tag and digest the tag
// is latest.
func ParseName(s string) (Name, error) {
	ref, err := oci.ParseReference(s)
	if err != nil {
		return Name{}, err
	}
	if ref.Tag == "" && ref.Digest == "" {
		ref.Tag = "latest"
	}
	first, _, _ := strings.Cut(s, "/")
	explicit := ref.Registry != oci.DockerHub || first == "docker.io" || first == oci.DockerHub
	return Name{ref, explicit}, nil
}

// Tag is the tag, which may be empty if there is a digest.
func (n Name) Tag() string { return n.ref.Tag }

// Check reports a name with a digest that is not the image's.
func (n Name) Check(root oci.Descriptor) error {
	if n.ref.Digest != "" && n.ref.Digest != root.Digest {
		return fmt.Errorf("name %s: the image's digest is %s", n.Familiar(), root.Digest)
	}
	return nil
}

// Full is the name in full, as containerd keeps it: docker.io/library/app:latest.
func (n Name) Full() string { return n.written(n.repository("docker.io")) }

// Familiar is the name as Docker lists it: app:latest.
func (n Name) Familiar() string {
	if n.ref.Registry != oci.DockerHub {
		return n.written(n.ref.Name())
	}
	return n.written(strings.TrimPrefix(n.ref.Repository, "library/"))
}

// Local is the name in full as Podman makes it of what has no registry: localhost/app:latest.
func (n Name) Local() string {
	if n.explicit {
		return n.Full()
	}
	return n.written("localhost/" + strings.TrimPrefix(n.ref.Repository, "library/"))
}

// LocalRepository is [Name.Local] without tag and digest.
func (n Name) LocalRepository() string {
	n.ref.Tag, n.ref.Digest = "", ""
	return n.Local()
}

// Repository is the familiar name without tag and digest.
func (n Name) Repository() string {
	n.ref.Tag, n.ref.Digest = "", ""
	return n.Familiar()
}

func (n Name) repository(hub string) string {
	if n.ref.Registry == oci.DockerHub {
		return hub + "/" + n.ref.Repository
	}
	return n.ref.Registry + "/" + n.ref.Repository
}

func (n Name) written(name string) string {
	if n.ref.Tag != "" {
		name += ":" + n.ref.Tag
	}
	if n.ref.Digest != "" {
		name += "@" + string(n.ref.Digest)
	}
	return name
}

// OnlyTags reports a name without a tag, for daemons that give names with digests to nothing but what they pulled. They
// leave out the digest of a name that has both.
func OnlyTags(names []Name) ([]Name, error) {
	var tagged []Name
	for _, n := range names {
		if n.ref.Tag == "" {
			return nil, fmt.Errorf("name %s: this daemon gives names with a digest only to what it has pulled: use a tag", n.Familiar())
		}
		n.ref.Digest = ""
		tagged = append(tagged, n)
	}
	return tagged, nil
}
