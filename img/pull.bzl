"""Base images out of registries."""

load("//img/private/repo:pull.bzl", _pull = "pull")

pull = _pull
