"""Rules for awk: programs, and images of them.

A ruleset stands on rules_img in three ways, and this one has an example of each: `awk_layer` is an `image_layer` that knows awk
(`rule(parent = …)`), `awk_image` composes rules, and `image_parts` reads providers and offers output groups.
"""

load("//awk:binary.bzl", _awk_binary = "awk_binary")
load("//awk:image.bzl", _awk_image = "awk_image")
load("//awk:layer.bzl", _AwkLayerInfo = "AwkLayerInfo", _awk_layer = "awk_layer")
load("//awk:parts.bzl", _image_parts = "image_parts")

AwkLayerInfo = _AwkLayerInfo
awk_binary = _awk_binary
awk_image = _awk_image
awk_layer = _awk_layer
image_parts = _image_parts
