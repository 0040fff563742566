"""Many pushes and loads in one run."""

load("//img/private/rules:multi_deploy.bzl", _multi_deploy = "multi_deploy")

multi_deploy = _multi_deploy
