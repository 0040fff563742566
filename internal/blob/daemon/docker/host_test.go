package docker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

func TestHostIsWhereDockersCommandLooks(t *testing.T) {
	config := filepath.Join(t.TempDir(), ".docker")
	write := func(name, body string) {
		t.Helper()
		path := filepath.Join(config, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	meta := func(name, host string) {
		write("contexts/meta/"+oci.DigestOf([]byte(name)).Encoded()+"/meta.json", `{"Name":"`+name+`","Endpoints":{"docker":{"Host":"`+host+`"}}}`)
	}
	write("config.json", `{"auths":{},"currentContext":"desktop"}`)
	meta("desktop", "unix:///home/me/.docker/run/docker.sock")
	meta("remote", "tcp://10.0.0.1:2375")
	meta("ssh", "ssh://me@host")
	for name, test := range map[string]struct {
		env  map[string]string
		want string
	}{
		"nothing is said":             {map[string]string{"HOME": "/nonexistent"}, "unix:///var/run/docker.sock"},
		"DOCKER_HOST is a socket":     {map[string]string{"DOCKER_HOST": "unix:///x/y.sock", "DOCKER_CONTEXT": "remote"}, "unix:///x/y.sock"},
		"DOCKER_HOST is an address":   {map[string]string{"DOCKER_HOST": "tcp://h:1"}, "tcp://h:1"},
		"the current context":         {map[string]string{"DOCKER_CONFIG": config}, "unix:///home/me/.docker/run/docker.sock"},
		"the home of Windows":         {map[string]string{"USERPROFILE": filepath.Dir(config)}, "unix:///home/me/.docker/run/docker.sock"},
		"DOCKER_CONTEXT":              {map[string]string{"DOCKER_CONFIG": config, "DOCKER_CONTEXT": "remote"}, "tcp://10.0.0.1:2375"},
		"DOCKER_CONTEXT is default":   {map[string]string{"DOCKER_CONFIG": config, "DOCKER_CONTEXT": "default"}, "unix:///var/run/docker.sock"},
		"a context by ssh":            {map[string]string{"DOCKER_CONFIG": config, "DOCKER_CONTEXT": "ssh"}, "LOADER_BINARY=docker"},
		"a context that is not there": {map[string]string{"DOCKER_CONFIG": config, "DOCKER_CONTEXT": "gone"}, "context gone"},
		"TLS without certificates":    {map[string]string{"DOCKER_HOST": "tcp://h:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/nonexistent"}, "/nonexistent/ca.pem"},
		"a host that is none":         {map[string]string{"DOCKER_HOST": "npipe:////./pipe/docker"}, "want unix:// or tcp://"},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := findHost(func(key string) string { return test.env[key] })
			got := h.String()
			if err != nil {
				got = err.Error()
			}
			if got != test.want && (err == nil || !strings.Contains(got, test.want)) {
				t.Errorf("is %s; want %s", got, test.want)
			}
		})
	}
}
