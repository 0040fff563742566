"""Loading images into container daemons."""

load("//img/private/rules:load.bzl", _image_load = "image_load")

image_load = _image_load
