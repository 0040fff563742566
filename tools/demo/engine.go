package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// container is the name under which the image runs, so that it can be removed.
const container = "rules-img-demo"

// engine is a program that runs containers. Each field is a command line; {} stands for the image's reference.
type engine struct {
	name           string
	works          string // succeeds where the engine can be used
	pull, run      string
	remove, forget string // the container, and the image
}

// engines are in the order in which they are tried. The container shares the machine's network, since the registry inside listens on loopback alone.
var engines = []engine{
	{
		name:   "podman",
		works:  "podman info",
		pull:   "podman pull --quiet --tls-verify=false {}",
		run:    "podman run --rm --name " + container + " --network host {} --port 0 --dir /tmp/registry",
		remove: "podman rm --force --time 1 " + container,
		forget: "podman rmi --force {}",
	},
	{
		name:   "docker",
		works:  "docker info",
		pull:   "docker pull --quiet {}",
		run:    "docker run --rm --name " + container + " --network host {} --port 0 --dir /tmp/registry",
		remove: "docker rm --force " + container,
		forget: "docker rmi --force {}",
	},
	{
		name:   "containerd",
		works:  "ctr version",
		pull:   "ctr images pull --plain-http {}",
		run:    "ctr run --rm --net-host {} " + container + " /" + program + " --port 0 --dir /tmp/registry",
		remove: "ctr tasks kill --signal SIGKILL " + container,
		forget: "ctr images remove {}",
	},
}

// startInEngine starts the image where a container engine is at hand, and asks the registry inside for /v2/. Where several are, one that
// can is enough.
func startInEngine(ctx context.Context, reference string) error {
	var failed error
	for _, e := range engines {
		if runtime.GOOS != "linux" || !e.answers(ctx) {
			continue
		}
		err := e.try(ctx, reference)
		if err == nil {
			say("%s started the image, and the registry inside answered /v2/", e.name)
			return nil
		}
		failed = errors.Join(failed, fmt.Errorf("%s: %w", e.name, err))
	}
	if failed == nil {
		say("neither Podman nor Docker nor containerd answers on this machine: the image was not started")
	}
	return failed
}

// answers reports whether the engine can be used, soon enough.
func (e engine) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return e.do(ctx, e.works, "") == nil
}

// try leaves neither container nor image behind.
func (e engine) try(ctx context.Context, reference string) error {
	after := context.WithoutCancel(ctx)
	e.do(after, e.remove, reference) // one that an earlier demo could not remove
	defer e.do(after, e.forget, reference)
	if err := e.do(ctx, e.pull, reference); err != nil {
		return err
	}
	line := e.line(e.run, reference)
	s, err := startServer(exec.Command(line[0], line[1:]...))
	if err != nil {
		return err
	}
	defer s.stop()
	defer e.do(after, e.remove, reference)
	if err := ask(ctx, s.address); err != nil {
		return fmt.Errorf("the registry in the image: %w", err)
	}
	return nil
}

// ask is what every client of a registry asks first.
func ask(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/v2/", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("/v2/ answered %s", answer.Status)
	}
	return nil
}

func (e engine) do(ctx context.Context, line, reference string) error {
	words := e.line(line, reference)
	_, err := output(ctx, ".", words[0], words[1:]...)
	return err
}

func (e engine) line(line, reference string) []string {
	return strings.Fields(strings.ReplaceAll(line, "{}", reference))
}
