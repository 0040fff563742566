package remote

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/google"
)

// Keychain finds credentials where Docker and Podman keep them. See [NewKeychain].
type Keychain struct {
	files []string
}

// NewKeychain makes a keychain that looks into the first of these files that is there: $REGISTRY_AUTH_FILE,
// $DOCKER_CONFIG/config.json, ~/.docker/config.json, $XDG_RUNTIME_DIR/containers/auth.json,
// $XDG_CONFIG_HOME/containers/auth.json, ~/.config/containers/auth.json. The credential helpers that it names are asked.
// For Google's registries, when none of that knows them, it asks Google's libraries, which know service accounts, machines of
// Google's cloud and gcloud. getenv is [os.Getenv].
func NewKeychain(getenv func(string) string) Keychain {
	if path := getenv("REGISTRY_AUTH_FILE"); path != "" {
		return Keychain{[]string{path}}
	}
	home := getenv("HOME")
	if home == "" {
		home = getenv("USERPROFILE")
	}
	var files []string
	for _, place := range []struct{ folder, file string }{
		{getenv("DOCKER_CONFIG"), "config.json"},
		{home, ".docker/config.json"},
		{getenv("XDG_RUNTIME_DIR"), "containers/auth.json"},
		{getenv("XDG_CONFIG_HOME"), "containers/auth.json"},
		{home, ".config/containers/auth.json"},
	} {
		if place.folder != "" {
			files = append(files, filepath.Join(place.folder, filepath.FromSlash(place.file)))
		}
	}
	return Keychain{files}
}

// Resolve implements [authn.Keychain].
func (k Keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	found, err := k.fromFile(target.RegistryStr())
	if err != nil {
		return nil, err
	}
	if found == (types.AuthConfig{}) {
		return google.Keychain.Resolve(target) // anonymous where it is not Google's
	}
	return authn.FromConfig(authn.AuthConfig{
		Username: found.Username, Password: found.Password, Auth: found.Auth,
		IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken,
	}), nil
}

func (k Keychain) fromFile(registry string) (found types.AuthConfig, err error) {
	path, f, err := k.open()
	if err != nil || f == nil {
		return found, err
	}
	defer f.Close()
	cf, err := config.LoadFromReader(f)
	if err == nil {
		found, err = lookUp(cf, registry)
	}
	if err != nil {
		return found, fmt.Errorf("%s: %w", path, err)
	}
	return found, nil
}

// Whence says where Resolve looks.
func (k Keychain) Whence() string {
	path, f, err := k.open()
	if err != nil {
		return err.Error()
	}
	if f == nil {
		return "there is none of " + strings.Join(k.files, ", ")
	}
	f.Close()
	return "from " + path
}

// open opens the first file that is there; none is no error.
func (k Keychain) open() (string, *os.File, error) {
	for _, path := range k.files {
		f, err := os.Open(path)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return path, f, err
		}
	}
	return "", nil, nil
}

// lookUp asks for the registry under the names that clients keep it by.
func lookUp(cf *configfile.ConfigFile, registry string) (types.AuthConfig, error) {
	if registry == name.DefaultRegistry {
		registry = authn.DefaultAuthKey
	}
	found, err := cf.GetAuthConfig(registry)
	found.ServerAddress = "" // which is set even when nothing was found
	if found.Username == "<token>" {
		found.Username, found.IdentityToken, found.Password = "", found.Password, ""
	}
	return found, err
}
