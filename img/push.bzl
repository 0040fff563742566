"""Pushing images to registries."""

load("//img/private/rules:push.bzl", _image_push = "image_push")

image_push = _image_push
