package remote_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/bazel-contrib/rules_img/internal/blob/remote"
)

// auths is a credential file in which the user of reg.test is called user, with a password.
func auths(user string) string {
	return `{"auths":{"reg.test":{"username":"` + user + `","password":"p"}}}`
}

func TestCredentialsComeFromTheFirstFileThereIs(t *testing.T) {
	for title, c := range map[string]struct {
		files map[string]string
		env   map[string]string
		want  string
	}{
		"REGISTRY_AUTH_FILE alone, if it is set": {
			map[string]string{"mine.json": auths("mine"), "docker/config.json": auths("docker")},
			map[string]string{"REGISTRY_AUTH_FILE": "mine.json", "DOCKER_CONFIG": "docker"}, "mine",
		},
		"DOCKER_CONFIG before the home": {
			map[string]string{"docker/config.json": auths("docker"), "home/.docker/config.json": auths("home")},
			map[string]string{"DOCKER_CONFIG": "docker", "HOME": "home"}, "docker",
		},
		"Docker's home": {
			map[string]string{"home/.docker/config.json": auths("home"), "run/containers/auth.json": auths("podman")},
			map[string]string{"HOME": "home", "XDG_RUNTIME_DIR": "run"}, "home",
		},
		"Podman's": {
			map[string]string{"run/containers/auth.json": auths("podman")},
			map[string]string{"HOME": "home", "XDG_RUNTIME_DIR": "run"}, "podman",
		},
		"Windows' home": {
			map[string]string{"profile/.docker/config.json": auths("windows")}, map[string]string{"USERPROFILE": "profile"}, "windows",
		},
		"nowhere": {nil, map[string]string{"HOME": "home"}, ""},
		"no entry for the registry": {
			map[string]string{"home/.docker/config.json": `{"auths":{"other.test":{"username":"other","password":"p"}}}`},
			map[string]string{"HOME": "home"}, "",
		},
	} {
		t.Run(title, func(t *testing.T) {
			dir := t.TempDir()
			for path, content := range c.files {
				write(t, filepath.Join(dir, path), content)
			}
			found := resolve(t, "reg.test", func(key string) string {
				if c.env[key] == "" {
					return ""
				}
				return filepath.Join(dir, c.env[key])
			})
			if found.Username != c.want {
				t.Errorf("the user is %q; want %q", found.Username, c.want)
			}
		})
	}
}

func TestDockerHubIsKeptByItsOldName(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "config.json"), `{"auths":{"https://index.docker.io/v1/":{"auth":"aHViOnA="}}}`)
	found := resolve(t, "index.docker.io", func(key string) string { return map[string]string{"DOCKER_CONFIG": dir}[key] })
	if found.Username != "hub" || found.Password != "p" {
		t.Errorf("found the user %q", found.Username)
	}
}

// TestACredentialHelperIsAsked with a program of our own on PATH.
func TestACredentialHelperIsAsked(t *testing.T) {
	dir := t.TempDir()
	helper := filepath.Join(dir, "docker-credential-ours")
	write(t, helper, "#!/bin/sh\necho '{\"ServerURL\":\"reg.test\",\"Username\":\"<token>\",\"Secret\":\"t0ken\"}'\n")
	if err := os.Chmod(helper, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "config.json"), `{"credHelpers":{"reg.test":"ours"}}`)
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	found := resolve(t, "reg.test", func(key string) string { return map[string]string{"DOCKER_CONFIG": dir}[key] })
	if found.IdentityToken != "t0ken" || found.Username != "" {
		t.Errorf("found %q with a token of %d bytes", found.Username, len(found.IdentityToken))
	}
}

func TestAFileThatIsBrokenIsNamed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	write(t, path, `{"auths":`)
	registry, _ := name.NewRegistry("reg.test")
	_, err := remote.NewKeychain(func(key string) string { return map[string]string{"DOCKER_CONFIG": dir}[key] }).Resolve(registry)
	if err == nil || len(err.Error()) < len(path) || err.Error()[:len(path)] != path {
		t.Errorf("error is %v; want it to name %s", err, path)
	}
}

func resolve(t *testing.T, registry string, getenv func(string) string) authn.AuthConfig {
	t.Helper()
	target, err := name.NewRegistry(registry)
	if err != nil {
		t.Fatal(err)
	}
	a, err := remote.NewKeychain(getenv).Resolve(target)
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Authorization()
	if err != nil {
		t.Fatal(err)
	}
	return *c
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
