package oci

import (
	"strings"
	"testing"
)

const someDigest = "sha256:" + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParseReference(t *testing.T) {
	for in, want := range map[string]Reference{
		"ubuntu":                           {Registry: DockerHub, Repository: "library/ubuntu"},
		"ubuntu:24.04":                     {Registry: DockerHub, Repository: "library/ubuntu", Tag: "24.04"},
		"docker.io/ubuntu":                 {Registry: DockerHub, Repository: "library/ubuntu"},
		"index.docker.io/me/app":           {Registry: DockerHub, Repository: "me/app"},
		"me/app":                           {Registry: DockerHub, Repository: "me/app"},
		"ghcr.io/a/b/c:v1":                 {Registry: "ghcr.io", Repository: "a/b/c", Tag: "v1"},
		"localhost/app":                    {Registry: "localhost", Repository: "app"},
		"localhost:5000/app":               {Registry: "localhost:5000", Repository: "app"},
		"localhost:5000/app:1":             {Registry: "localhost:5000", Repository: "app", Tag: "1"},
		"[::1]:5000/app:1":                 {Registry: "[::1]:5000", Repository: "app", Tag: "1"},
		"[::1]/app":                        {Registry: "[::1]", Repository: "app"},
		"Host/app":                         {Registry: "Host", Repository: "app"},
		"r.example/a--b/c__d.e:T_1.2-3":    {Registry: "r.example", Repository: "a--b/c__d.e", Tag: "T_1.2-3"},
		"ghcr.io/a/b@" + someDigest:        {Registry: "ghcr.io", Repository: "a/b", Digest: someDigest},
		"ghcr.io/a/b:v1@" + someDigest:     {Registry: "ghcr.io", Repository: "a/b", Tag: "v1", Digest: someDigest},
		"127.0.0.1:1/a@" + someDigest:      {Registry: "127.0.0.1:1", Repository: "a", Digest: someDigest},
		"registry.example.com:8443/x/y/z:": {},
	} {
		got, err := ParseReference(in)
		if want == (Reference{}) {
			if err == nil {
				t.Errorf("ParseReference(%q) = %v; want an error", in, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("ParseReference(%q) = %+v, %v; want %+v", in, got, err, want)
		}
	}
}

func TestParseReferenceSaysWhatIsWrong(t *testing.T) {
	for in, want := range map[string]string{
		"":                               "names no repository",
		"ghcr.io/":                       "names no repository",
		"ghcr.io/A/b":                    `"A" is not made of lower-case`,
		"ghcr.io/a//b":                   `"" is not made of lower-case`,
		"ghcr.io/a/b_":                   `"b_" is not made of lower-case`,
		"ghcr.io/a___b":                  `"a___b" is not made of lower-case`,
		"ghcr.io/a/é":                    `"é" is not made of lower-case`,
		"ghcr.io/a/b:":                   `tag "": want`,
		"ghcr.io/a/b:-x":                 `tag "-x": want`,
		"a.b/c:" + longName:              "want up to 128",
		"ghcr.io/a/b@sha256:12":          `digest "sha256:12": want`,
		"ghcr.io/a/b@":                   `digest "": want`,
		"host:0/a":                       `"0" is not a port`,
		"host:x/a":                       `"x" is not a port`,
		"host:70000/a":                   `"70000" is not a port`,
		"-host.x/a":                      "want a host name",
		"[::1/a":                         "want a host name",
		"[1.2.3.4]:5/a":                  "want a host name",
		"http://ghcr.io/a":               `"" is not a port`,
		"ghcr.io/" + longName + longName: "at most 255",
		"user:secret@ghcr.io/a/b":        "want sha256:",
		"ghcr.io/a/b:v1 ":                `tag "v1 "`,
	} {
		got, err := ParseReference(in)
		if err == nil {
			t.Errorf("ParseReference(%q) = %v; want an error", in, got)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("ParseReference(%q): %v; want %s", in, err, want)
		}
	}
}

func TestNewReferenceTakesTheEmptyRegistryForDockerHub(t *testing.T) {
	got, err := NewReference("", "ubuntu")
	if err != nil || got.Name() != "index.docker.io/library/ubuntu" {
		t.Errorf("is %v, %v", got, err)
	}
	for _, repository := range []string{"ghcr.io/team/app", "localhost:5000/app", "ghcr.io/team/app:v1"} {
		if got, err := NewReference("", repository); err == nil || !strings.Contains(err.Error(), "begins with a registry") {
			t.Errorf("%s on Docker Hub gave %v, %v; want an error that says where its registry goes", repository, got, err)
		}
	}
	if got, err := NewReference("mirror.example", "ghcr.io/team/app"); err != nil {
		t.Errorf("a repository of a mirror gave %v, %v", got, err)
	}
	if got, err := NewReference("ghcr.io/sub", "x"); err == nil {
		t.Errorf("a registry with a path gave %v; want an error", got)
	}
	if got, err := NewReference("ghcr.io", "a:tag"); err == nil {
		t.Errorf("a repository with a tag gave %v; want an error", got)
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"ubuntu", "localhost:5000/a/b:c@" + someDigest, "[::1]:5000/app", "a.b/c", "@", ":", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := ParseReference(s)
		if err != nil {
			return
		}
		again, err := ParseReference(ref.String())
		if err != nil || again != ref {
			t.Errorf("%q is %+v, formatted and parsed again %+v, %v", s, ref, again, err)
		}
	})
}

var longName = strings.Repeat("x", 150)
