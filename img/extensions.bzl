"""Module extensions."""

load("//img/private/repo:images.bzl", _images = "images")

images = _images
