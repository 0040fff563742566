package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/bazel-contrib/rules_img/internal/blob/daemon"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon/containerd"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon/docker"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon/generic"
	"github.com/bazel-contrib/rules_img/internal/blob/daemon/podman"
)

const containerdSocket = "/run/containerd/containerd.sock"

// openDaemon returns the daemon of a name. Whether it runs is found out by the first load.
func openDaemon(p process, name string) (daemon.Daemon, error) {
	switch name {
	case "docker":
		return openDocker(p)
	case "containerd":
		return containerd.Dial(cmp.Or(p.Getenv("CONTAINERD_ADDRESS"), containerdSocket), cmp.Or(p.Getenv("CONTAINERD_NAMESPACE"), "default"))
	case "podman":
		return podman.Dial(p.Getenv)
	case "generic":
		return generic.Loader{Program: p.Getenv("LOADER_BINARY"), Output: p.Stderr}, nil
	case "":
		return nil, errors.New("the plan names no daemon: say which with --daemon")
	}
	return nil, fmt.Errorf("%q is not a daemon: want docker, containerd, podman or generic", name)
}

func openDocker(p process) (daemon.Daemon, error) {
	c, err := docker.Dial(p.Getenv)
	if err != nil {
		return nil, err
	}
	c.Containerd = []string{p.Getenv("CONTAINERD_ADDRESS"), "/run/docker/containerd/containerd.sock", containerdSocket}
	c.Podman = func(socket string) daemon.Daemon { return podman.Socket(socket) }
	return c, nil
}
